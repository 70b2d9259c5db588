import type { Checkpoint, Judgement, Mismatch, ReplicaProblem, Status, VerifiedBlock } from './types.js';

/** What an engine is opened with: plain values, which can be sent to a worker. */
export interface EngineOptions {
  mainNodes: string[];
  /** JSON. */
  chain: string;
  /** JSON; in full mode. */
  genesis?: string;
  /** In light mode. */
  checkpoint?: Checkpoint;
  stream?: string | Uint8Array;
  storage: 'auto' | 'opfs' | 'indexeddb' | 'memory';
  wasmUrl?: string;
  wasmBytes?: BufferSource;
  /** Milliseconds of work at a time. */
  budget: number;
}

/** What a tab asks of the engine. */
export type Call =
  | { call: 'send'; body: string }
  | { call: 'evidence' }
  | { call: 'checkEvidence'; file: Uint8Array }
  | { call: 'panic' };

export interface Results {
  send: string;
  evidence: Uint8Array | null;
  checkEvidence: Judgement;
  panic: never;
}

/** From a tab. `hello` comes first, and again whenever the engine is another one. */
export type ToEngine = { type: 'hello' } | { type: 'bye' } | ({ type: 'call'; id: number } & Call);

/** To a tab. */
export type FromEngine =
  | { type: 'result'; id: number; result: unknown }
  | { type: 'failure'; id: number; message: string }
  | { type: 'status'; status: Status }
  | { type: 'blocks'; blocks: VerifiedBlock[] }
  | { type: 'mismatch'; mismatch: Mismatch }
  | { type: 'problem'; problem: ReplicaProblem }
  /** JSON-RPC notifications. */
  | { type: 'notifications'; messages: string[] }
  /** Subscriptions and filters are gone. */
  | { type: 'reset' };

/** A tab, as the engine sees it. */
export interface Listener {
  post(message: FromEngine): void;
}
