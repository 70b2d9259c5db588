// What the page asks of the package `zk-replica`: a part of what that exports, and the compiler compares the two.

export interface Head {
  number: number;
  hash: string;
  stateRoot: string;
  /** Seconds since 1970. */
  timestamp: number;
  /** Verified since genesis. */
  totals: { transactions: number };
}

/** A claim that is not true. */
export interface Mismatch {
  block: number;
  batch: number;
  /** What was claimed, in words: `state root`. */
  claim: string;
  /** Whose claim it is. */
  by: "mainNode" | "l1";
  /** The value that was given. */
  expected: string;
  /** The value that was computed here, or the rule that the claim breaks. */
  computed: string;
}

/** What is known of L1. */
export interface L1Status {
  /** The last batch that is proved there, as of an L1 block; null before it was told. */
  proved: { l1Block: number; batch: number } | null;
  /** How far L1 agrees with what is verified. Null: nothing was compared yet. */
  finalized: { block: number; batch: number } | null;
  /** Why L1 cannot be asked at the moment. */
  trouble: string | null;
}

export interface Status {
  chainId: number;
  /** For people; may be empty. */
  chainName: string;
  /** Null before genesis. */
  verified: Head | null;
  /** The main node's last block, as far as it is known. */
  highest: number | null;
  /** All that the sources have is verified. */
  synced: boolean;
  halted: Mismatch | null;
  mode: "full" | "light";
  /** Blocks verified per second, of late. */
  rate: number;
  storage: "opfs" | "indexeddb" | "memory";
  /** Bytes of records. */
  stored: number;
  /** Why the main node cannot be followed at the moment. */
  trouble: string | null;
  /** The trouble is that its answers contradict each other: what it says cannot be true. */
  unsound: boolean;
  /** Null: L1 is not asked. */
  l1: L1Status | null;
}

/** A block that was just verified: every claim about it is equal to what was computed. */
export interface VerifiedBlock {
  number: number;
  hash: string;
  stateRoot: string;
  timestamp: number;
  batch: number;
  /** How many. */
  transactions: number;
  gasUsed: number;
}

/** What a check of evidence takes for granted. */
export type Anchor =
  | {
      kind: "parent";
      number: number;
      hash: string;
      stateRoot: string;
      timestamp: number;
      batch: number;
      forkId: number;
      batchClosed: boolean;
    }
  | { kind: "repeated"; batch: number; stateRoot: string }
  | { kind: "known"; number: number; hash: string; batch: number; forkId: number; blockInfoRoot: string }
  | { kind: "genesis"; accounts: number };

export interface Judgement {
  /** `wrong`: the main node is. `true`: what it says is true. `refused`: the file is forged, altered, or not whole. */
  verdict: "wrong" | "true" | "refused";
  mismatch: Mismatch | null;
  /** Why it is refused. */
  reason: string | null;
  chainId: number | null;
  anchors: Anchor[];
}

/** Something that goes wrong while nobody waits for an answer. */
export interface Problem {
  kind: "source" | "l1" | "storage" | "quota" | "engine";
  message: string;
}

export interface Provider {
  request(question: { method: string; params?: unknown[] }): Promise<unknown>;
}

/** A block that is taken on trust, with everything before it. */
export interface Checkpoint {
  number: number;
  hash: string;
  stateRoot: string;
}

/** Where L1 is asked what is proved of this chain. */
export interface L1Options {
  url: string[];
  rollupManager: string;
  rollupId: number;
  block: "finalized" | "safe" | "latest";
}

export interface Options {
  mainNode?: string[];
  chain: object;
  genesis?: object;
  checkpoint?: Checkpoint;
  snapshot?: string;
  stream?: string;
  l1?: L1Options;
}

export interface Events {
  block: VerifiedBlock;
  status: Status;
  mismatch: Mismatch;
  error: Problem;
}

export interface Replica {
  readonly provider: Provider;
  readonly status: Status;
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): unknown;
  /** The file of evidence of the mismatch, when there is one. */
  evidence(): Promise<Uint8Array | null>;
  /** Re-executes what is in an evidence file, whichever chain it is about. */
  checkEvidence(file: Uint8Array): Promise<Judgement>;
  close(): Promise<void>;
}

export type CreateReplica = (options: Options) => Promise<Replica>;

/** The same without a replica. */
export type CheckEvidence = (file: Uint8Array) => Promise<Judgement>;
