// The contract of the package `zk-replica`, for tests of the page alone: the verifying is done by a native replica behind
// the test's own server (tests/browser/world.mjs), and blocks are given out one after the other at a set pace.
// It is built into the page that tests open, and into no other.

import type {
  Events,
  Head,
  Judgement,
  Mismatch,
  Options,
  Provider,
  Replica,
  Status,
  VerifiedBlock,
} from "../src/contract";

/** How often the native replica is looked at, in milliseconds. */
const PACE = 100;
/** Blocks that are asked for at once. */
const AT_ONCE = 40;
/** Answers that are kept for when there is no network: what the browser's disk is to the package. */
const DISK = "test-engine";

interface Native {
  chain_id: number;
  height: number;
  main_node_height: number | null;
  connected: boolean;
  mismatch: Omit<Mismatch, "by"> | null;
  upstreams: { last_trouble?: string }[];
}

/** What a test asks for in the address bar. */
const asked = (name: string): string | null => new URLSearchParams(location.search).get(name);

type Listeners = { [Name in keyof Events]: Set<(value: Events[Name]) => void> };

export async function createReplica(options: Options): Promise<Replica> {
  if (!("chainId" in options.chain)) throw new Error("the chain specification has no chainId");
  const engine = new Engine(Number(options.chain.chainId));
  await engine.resume();
  engine.run();
  return engine;
}

class Engine implements Replica {
  private readonly listeners: Listeners = {
    block: new Set(),
    status: new Set(),
    mismatch: new Set(),
    error: new Set(),
  };
  private current: Status;
  private closed = false;
  private transactions = 0;
  private fixed = JSON.parse(asked("test-status") ?? "{}") as Partial<Status>;
  private speed = Number(asked("test-speed") ?? Infinity);

  constructor(chainId: number) {
    const nothing = { verified: null, highest: null, synced: false, halted: null, trouble: null, unsound: false, l1: null };
    this.current = {
      chainId,
      chainName: "",
      mode: "full",
      rate: 0,
      storage: "opfs",
      stored: 0,
      ...nothing,
    };
  }

  /** What a test says instead: in the address bar, or, for a while, in `testStatus` of the window. */
  private get given(): Partial<Status> {
    return { ...this.fixed, ...(globalThis as { testStatus?: Partial<Status> }).testStatus };
  }

  get status(): Status {
    return { ...this.current, ...this.given };
  }

  readonly provider: Provider = {
    request: async ({ method, params = [] }) => {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      const key = new Request(`/${DISK}/${encodeURIComponent(body)}`);
      const disk = await caches.open(DISK);
      const answer = await fetch("/engine/rpc", { method: "POST", body }).catch(() => disk.match(key));
      if (!answer?.ok) throw new Error("this is not on the disk");
      void disk.put(key, answer.clone());
      const { result, error } = (await answer.json()) as { result?: unknown; error?: { message: string } };
      if (error) throw Object.assign(new Error(error.message), error);
      return this.unseen(method, result) ? null : result;
    },
  };

  /** What the native replica has verified and this one has not given out yet. */
  private unseen(method: string, result: unknown): boolean {
    if (!method.startsWith("zkevm_getFullBlock")) return false;
    const { number } = (result ?? {}) as { number?: string };
    return number !== undefined && Number(number) > (this.current.verified?.number ?? -1);
  }

  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): () => void {
    this.listeners[event].add(listener);
    return () => this.listeners[event].delete(listener);
  }

  private emit<Name extends keyof Events>(event: Name, value: Events[Name]): void {
    for (const listener of this.listeners[event]) listener(value);
  }

  private change(news: Partial<Status>): void {
    this.current = { ...this.current, ...news };
    localStorage.setItem(DISK, JSON.stringify(this.current));
    this.emit("status", this.status);
  }

  async resume(): Promise<void> {
    const kept = JSON.parse(localStorage.getItem(DISK) ?? "null") as Status | null;
    if (kept?.chainId !== this.current.chainId || !kept.verified) return;
    this.transactions = kept.verified.totals.transactions;
    this.current = { ...kept, rate: 0, trouble: null };
  }

  run(): void {
    const turn = async () => {
      if (this.closed) return;
      try {
        await this.follow(await this.look());
      } catch (error) {
        if (!this.closed) {
          this.change({ trouble: `127.0.0.1: ${(error as Error).message}`, rate: 0 });
          this.emit("error", { kind: "source", message: (error as Error).message });
        }
      }
      if (!this.closed) setTimeout(() => void turn(), PACE);
    };
    void turn();
    const problem = asked("test-problem") as Events["error"]["kind"] | null;
    if (problem) setTimeout(() => this.emit("error", { kind: problem, message: "a test asks for it" }), PACE);
  }

  private async look(): Promise<Native> {
    const answer = await fetch("/engine/status");
    return (await answer.json()) as Native;
  }

  private async follow(native: Native): Promise<void> {
    const begun = performance.now();
    const from = (this.current.verified?.number ?? -1) + 1;
    const most = Math.min(AT_ONCE, Math.max(1, Math.round((this.speed * PACE) / 1000)));
    const to = Math.min(native.height, from + most - 1);
    const blocks = await this.blocks(Array.from({ length: Math.max(0, to - from + 1) }, (_, place) => from + place));
    for (const block of blocks) {
      this.transactions += block.transactions;
      this.change({ verified: this.head(block) });
      this.emit("block", block);
    }
    const took = (performance.now() - begun + PACE) / 1000;
    const done = (this.current.verified?.number ?? -1) >= native.height;
    const before = this.current.halted;
    const halted = done && native.mismatch ? plain(native.mismatch) : null;
    const trouble =
      native.connected || native.mismatch ? null : (native.upstreams[0]?.last_trouble ?? "it does not answer");
    const highest = Math.max(native.main_node_height ?? 0, native.height);
    const stored = 40_000 + 900 * (this.current.verified?.number ?? 0);
    const synced = done && highest === native.height;
    this.change({ highest, synced, halted, trouble, stored, rate: blocks.length / took });
    if (halted && !before) this.emit("mismatch", halted);
  }

  private head({ number, hash, stateRoot, timestamp }: VerifiedBlock): Head {
    return { number, hash, stateRoot, timestamp, totals: { transactions: this.transactions } };
  }

  private async blocks(numbers: number[]): Promise<VerifiedBlock[]> {
    if (numbers.length === 0) return [];
    const questions = numbers.flatMap((number) => {
      const at = `0x${number.toString(16)}`;
      return [
        { jsonrpc: "2.0", id: 2 * number, method: "eth_getBlockByNumber", params: [at, false] },
        { jsonrpc: "2.0", id: 2 * number + 1, method: "zkevm_batchNumberByBlockNumber", params: [at] },
      ];
    });
    const answer = await fetch("/engine/rpc", { method: "POST", body: JSON.stringify(questions) });
    const answers = (await answer.json()) as { id: number; result: unknown }[];
    const results = new Map(answers.map(({ id, result }) => [id, result]));
    return numbers.map((number) => {
      const fields = results.get(2 * number) as Record<string, string> & { transactions: string[] };
      return {
        number,
        hash: String(fields.hash),
        stateRoot: String(fields.stateRoot),
        timestamp: Number(fields.timestamp),
        batch: Number(results.get(2 * number + 1)),
        transactions: fields.transactions.length,
        gasUsed: Number(fields.gasUsed),
      };
    });
  }

  async evidence(): Promise<Uint8Array | null> {
    const answer = await fetch("/engine/evidence");
    return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : null;
  }

  checkEvidence(file: Uint8Array): Promise<Judgement> {
    return checkEvidence(file);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

export async function checkEvidence(file: Uint8Array): Promise<Judgement> {
  const answer = await fetch("/engine/check", { method: "POST", body: file as BodyInit });
  return (await answer.json()) as Judgement;
}

const plain = ({ block, batch, claim, expected, computed }: Omit<Mismatch, "by">): Mismatch => ({
  block,
  batch,
  claim,
  expected,
  computed,
  by: "mainNode",
});
