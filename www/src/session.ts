// One replica and what the page knows of it. Views look at it when told to; they are told at most every 200 ms.

import { Chain } from "./chain";
import type { Config } from "./config";
import type { Head, Mismatch, Problem, Replica, Status, VerifiedBlock } from "./contract";

/** Blocks that are read again when the replica begins with what it has on the disk. */
const RECALLED = 24;
/** Blocks that the list and the ribbon look back on. */
const REMEMBERED = 128;
const PACE = 200;
/** Behind by no more, it is at the tip: the main node makes blocks while we look. */
const AT_TIP = 2;
/** A replica that was not at the tip for so long, in milliseconds, is catching up, also where nobody says how far it is. */
const PATIENCE = 3000;

export type Phase = "starting" | "syncing" | "synced" | "halted";

export class Session {
  readonly chain: Chain;
  private readonly recent: VerifiedBlock[] = [];
  /** What went wrong with the disk or the engine, last. */
  problem: Problem | null = null;
  private readonly listeners = new Set<() => void>();
  private timer: number | null = null;
  /** When it was last at the tip. */
  private tip = -Infinity;
  /** The last block that was verified, as it was told last. */
  private verified: Head | null = null;

  constructor(
    readonly replica: Replica,
    readonly config: Config,
  ) {
    this.chain = new Chain(replica.provider);
    replica.on("block", (block) => {
      this.remember(block);
      this.changed();
    });
    replica.on("status", () => this.changed());
    replica.on("mismatch", () => this.changed());
    replica.on("error", (problem) => {
      // Sources come and go: `trouble` says so while it is so.
      if (problem.kind !== "source" && problem.kind !== "l1") this.problem = problem;
      this.changed();
    });
    void this.recall().catch(() => undefined);
    window.addEventListener("online", () => this.changed());
    window.addEventListener("offline", () => this.changed());
  }

  /** While the replica looks for the block up to which a main node agrees, what it has verified stays what it is. */
  get status(): Status {
    const { status } = this.replica;
    this.verified = status.verified ?? this.verified;
    return { ...status, verified: this.verified };
  }

  get halted(): Mismatch | null {
    return this.status.halted;
  }

  /** The last blocks, newest first: none that `status` does not have yet. */
  get blocks(): VerifiedBlock[] {
    const last = this.status.verified?.number ?? -1;
    return this.recent.filter(({ number }) => number <= last);
  }

  get offline(): boolean {
    return !navigator.onLine;
  }

  /** Blocks that the main node has and that are not verified yet. */
  get behind(): number {
    const { verified, highest } = this.status;
    return highest === null ? 0 : Math.max(0, highest - (verified?.number ?? -1));
  }

  /** Whether the main node's last block is known, and is another one than the last verified. */
  get endKnown(): boolean {
    return this.behind > 0;
  }

  get phase(): Phase {
    const { halted, synced, trouble, verified } = this.status;
    if (halted) return "halted";
    if (!verified) return "starting";
    if (synced) this.tip = performance.now();
    if (this.behind > AT_TIP) return "syncing";
    const waiting = synced || trouble !== null || this.offline;
    return waiting || performance.now() - this.tip < PATIENCE ? "synced" : "syncing";
  }

  watch(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The last blocks of an earlier visit. */
  private async recall(): Promise<void> {
    const last = this.status.verified?.number;
    if (last === undefined) return;
    // Light mode holds nothing before its checkpoint.
    const first = this.config.checkpoint?.number ?? 0;
    const numbers = Array.from({ length: Math.max(0, Math.min(RECALLED, last + 1 - first)) }, (_, back) => last - back);
    const found = await Promise.all(numbers.map((number) => this.chain.summary(number)));
    const oldest = this.recent.at(-1)?.number ?? Infinity;
    this.recent.push(
      ...found.filter((block) => block !== null && block.number < oldest).map((block) => block as VerifiedBlock),
    );
    this.changed();
  }

  private remember(block: VerifiedBlock): void {
    // A roll-back: the blocks from here on were other ones.
    while (this.recent[0] && this.recent[0].number >= block.number) this.recent.shift();
    this.recent.unshift(block);
    if (this.recent.length > REMEMBERED) this.recent.pop();
  }

  private changed(): void {
    this.timer ??= window.setTimeout(() => {
      this.timer = null;
      for (const listener of this.listeners) listener();
    }, PACE);
  }
}
