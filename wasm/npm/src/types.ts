import type { ProviderRpcError } from './errors.js';

/** JSON of a chain specification or of genesis, as the native program's `--chain` and `--genesis` files have it. */
export type ChainFile = object | string | URL;

/** Where verified records are kept. */
export type Storage = 'opfs' | 'indexeddb' | 'memory';

/** Where the engine is. */
export interface ModuleOptions {
  /**
   * Where the wasm file is, if not beside the script: `zk-replica.wasm`; in light mode, and to check evidence,
   * `zk-replica-light.wasm`.
   */
  wasmUrl?: string | URL;
  /** Its bytes. */
  wasmBytes?: BufferSource;
}

/** How evidence is checked. */
export interface CheckOptions {
  /** Ends a check that takes too long: it takes as long as the file's author wants. */
  signal?: AbortSignal;
}

/** What to verify, and how. */
export interface ReplicaOptions extends ModuleOptions {
  /** JSON-RPC addresses of main nodes: the next one is asked when one fails. None: what the stream has, and no more. */
  mainNode?: string | string[];
  /** The chain specification: the object itself, or where it is. */
  chain: ChainFile;
  /** The accounts at genesis: the object itself, or where they are. Without `checkpoint` they have to be there. */
  genesis?: ChainFile;
  /**
   * Light mode, unless there is a `snapshot`: a block that is known to be true. Blocks behind it are verified on witnesses, and reads are answered from
   * proofs, both from `mainNode`, which has to serve them and need not be trusted for it: a full replica will do. Then
   * `genesis` is not needed, there can be no `stream`, and everything is in memory.
   */
  checkpoint?: Checkpoint;
  /**
   * Full mode from `checkpoint` on, in place of light mode: the whole state after that block, as `zk-replica db snapshot` writes
   * it (a file, or `.gz` of it). Whoever made it need not be trusted: it is taken if it is the state that the checkpoint names.
   * `genesis` is not needed then; what comes behind is executed as usual, from the main nodes or a `stream`.
   */
  snapshot?: string | URL | Uint8Array;
  /**
   * A stream file (`data-stream.bin`, or `.gz` of it), verified before the main node is followed. When it fails, or something
   * is verified already, the main nodes are asked first.
   */
  stream?: string | URL | Uint8Array;
  /**
   * L1: what is proved there is compared with what is verified, and final from then on. While it has another state, nothing
   * more is verified. Not in light mode, which holds no state to compare.
   */
  l1?: L1Options;
  /** Run in a worker of its own. Default: true where there are workers, false in Node. */
  worker?: boolean;
  /** Default: 'auto', the best that there is. */
  storage?: Storage | 'auto';
  /** One engine for all tabs of the origin. Default: true where there are Web Locks and a worker. */
  shared?: boolean;
}

/** Where a rollup's entry on L1 is. The L1 node is believed: it should be one that you choose. */
export interface L1Options {
  /** JSON-RPC addresses of L1 nodes: the next one is asked when one fails. */
  url: string | string[];
  /** Address of the `PolygonRollupManager` contract (its proxy). */
  rollupManager: string;
  /** The rollup's number there; the first is 1. */
  rollupId: number;
  /** The L1 block that is asked for. Default: 'finalized', which nothing takes back. */
  block?: 'finalized' | 'safe' | 'latest';
  /** Milliseconds between two questions, a second or more. Default: 12,000. */
  interval?: number;
}

/** A block that is taken on trust, with everything before it. Any {@link Head} that was verified is one. */
export interface Checkpoint {
  number: number;
  hash: string;
  stateRoot: string;
}

/** What a block says of itself, as far as it can be compared. */
export interface BlockValues {
  hash: string;
  stateRoot: string;
  /** Root of the block info tree. */
  blockInfoRoot: string;
  timestamp: number;
  batch: number;
}

/** A block that was executed, and whose every claim came out. */
export interface VerifiedBlock {
  number: number;
  hash: string;
  stateRoot: string;
  parentHash: string;
  /** Seconds since the Unix epoch. */
  timestamp: number;
  batch: number;
  forkId: number;
  /** How many there are. */
  transactions: number;
  gasUsed: number;
  /** What the main node said. */
  claimed: BlockValues;
  /** What came out here: the same, or the block would not be verified. */
  computed: BlockValues;
}

/** The first claim that is not true. */
export interface Mismatch {
  batch: number;
  block: number;
  /** What was claimed, in words. */
  claim: string;
  /** Whose claim it is. */
  by: 'mainNode' | 'l1';
  /** What was said. */
  expected: string;
  /** What came out here. */
  computed: string;
}

/** The last verified block. */
export interface Head {
  number: number;
  hash: string;
  stateRoot: string;
  timestamp: number;
  batch: number;
  forkId: number;
  /** The end of its batch is verified, too. */
  batchClosed: boolean;
  /** Verified since genesis, or since the checkpoint; batches are counted from genesis on in both. */
  totals: { blocks: number; transactions: number; batches: number; gas: number };
}

/** What is known of L1. */
export interface L1Status {
  /** The last batch that is proved there, as of an L1 block; `null` before it was told. */
  proved: { l1Block: number; batch: number } | null;
  /**
   * How far L1 agrees: no block up to this one is rolled back any more. It is kept with the records, so it is there also
   * before L1 has answered. `null` when nothing was ever compared.
   */
  finalized: { block: number; batch: number } | null;
  /** Why L1 cannot be asked, in words, until it is over. What is verified is no less verified for it. */
  trouble: string | null;
}

/** How far the replica is. */
export interface Status {
  chainId: number;
  /** The chain's name, for people; may be empty. */
  chainName: string;
  /** `null` before genesis, or before the checkpoint's block is known. */
  verified: Head | null;
  /** The main node's last block, as far as it is known. */
  highest: number | null;
  /** All that the sources have is verified; without any, it is. */
  synced: boolean;
  /** The main node is wrong, or L1 has another state. What was verified before is served all the same. */
  halted: Mismatch | null;
  mode: 'full' | 'light';
  /** What is taken on trust, in light mode or with a snapshot. */
  checkpoint: Checkpoint | null;
  /** Blocks verified per second, over the last seconds. */
  rate: number;
  storage: Storage;
  /** Bytes of records, on disk or in memory. */
  stored: number;
  /** Bytes of memory that the engine has taken. */
  memory: number;
  /** {@link Replica.evidence} has something. */
  evidence: boolean;
  /** The last trouble with a source, in words, until it is over. */
  trouble: string | null;
  /** The trouble is that the answers contradict each other: what the source says cannot be true. */
  unsound: boolean;
  /** `null` where L1 is not asked. */
  l1: L1Status | null;
  /** Times that the engine was started again after it had failed. */
  restarts: number;
}

/** What the check of an evidence file comes to. */
export interface Judgement {
  /** `wrong`: the main node is. `true`: what it says is true. `refused`: the file is forged, altered, or not whole. */
  verdict: 'wrong' | 'true' | 'refused';
  /** What the main node is wrong about. */
  mismatch: Mismatch | null;
  /** Why it is refused. */
  reason: string | null;
  chainId: number | null;
  /** What the check takes for granted, and has to be known from elsewhere. */
  anchors: Anchor[];
}

export type Anchor =
  | {
      kind: 'parent';
      number: number;
      hash: string;
      stateRoot: string;
      timestamp: number;
      batch: number;
      forkId: number;
      batchClosed: boolean;
    }
  | { kind: 'repeated'; batch: number; stateRoot: string }
  | { kind: 'known'; number: number; hash: string; batch: number; forkId: number; blockInfoRoot: string }
  | { kind: 'genesis'; accounts: number };

/** Something that goes wrong while nobody waits for an answer. */
export interface ReplicaProblem {
  /**
   * `source`: a main node or a stream; `l1`: an L1 node; `storage`: the disk, of which `quota` is a case; `engine`: it was
   * started again, or cannot be, or is not where it should be.
   */
  kind: 'source' | 'l1' | 'storage' | 'quota' | 'engine';
  message: string;
}

export interface ReplicaEvents {
  /** Blocks that were not on the disk yet when an engine ended are verified, and told, again. */
  block: VerifiedBlock;
  /** The main node has another chain, which is true, too: blocks `to + 1` to `from` are gone. */
  rolledBack: { from: number; to: number };
  status: Status;
  mismatch: Mismatch;
  error: ReplicaProblem;
}

/** EIP-1193. */
export interface RequestArguments {
  readonly method: string;
  readonly params?: readonly unknown[] | object;
}

export interface ProviderMessage {
  readonly type: string;
  readonly data: unknown;
}

export interface ProviderConnectInfo {
  /** In hexadecimal. */
  readonly chainId: string;
}

export interface ProviderEvents {
  connect: ProviderConnectInfo;
  /** Its code is one of WebSocket's: 1013 when there will be another engine, 1000 when the replica was closed. */
  disconnect: ProviderRpcError;
  chainChanged: string;
  accountsChanged: string[];
  message: ProviderMessage;
}

/** An EIP-1193 provider that answers from verified blocks. */
export interface Provider {
  request(args: RequestArguments): Promise<any>;
  on<E extends keyof ProviderEvents>(event: E, listener: (value: ProviderEvents[E]) => void): this;
  removeListener<E extends keyof ProviderEvents>(event: E, listener: (value: ProviderEvents[E]) => void): this;
}

/** A replica that runs. */
export interface Replica {
  readonly provider: Provider;
  /** As it last was; `status` events bring each new one. */
  readonly status: Status;
  /** Resolves when everything that the sources have now is verified; rejects when the main node is wrong, or L1 disagrees. */
  waitSynced(): Promise<Status>;
  /** Returns a function that ends it. */
  on<E extends keyof ReplicaEvents>(event: E, listener: (value: ReplicaEvents[E]) => void): () => void;
  /** A JSON-RPC body, a single request or a batch, and its answer, as over HTTP. */
  send(body: string): Promise<string>;
  /** The evidence of the last mismatch, as a file. */
  evidence(): Promise<Uint8Array | null>;
  /** Repeats the check of an evidence file, whichever chain it is about; in a worker of its own, if there can be one. */
  checkEvidence(file: Uint8Array, options?: CheckOptions): Promise<Judgement>;
  /** Ends it. What is not on the disk yet is written first. */
  close(): Promise<void>;
}
