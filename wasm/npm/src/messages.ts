import type { Checkpoint, Mismatch, ReplicaProblem, Status, VerifiedBlock } from './types.js';

/** Where the wasm module is, as it can be sent to a worker. */
export interface ModulePlace {
  wasmUrl?: string;
  wasmBytes?: BufferSource;
}

/** Where and how L1 is asked. */
export interface L1Place {
  urls: string[];
  rollupManager: string;
  rollupId: number;
  block: string;
  /** Milliseconds. */
  interval: number;
}

/** What an engine is opened with: plain values, which can be sent to a worker. */
export interface EngineOptions extends ModulePlace {
  mainNodes: string[];
  /** JSON. */
  chain: string;
  /** JSON; in full mode. */
  genesis?: string;
  /** In light mode, or with a snapshot. */
  checkpoint?: Checkpoint;
  snapshot?: string | Uint8Array;
  stream?: string | Uint8Array;
  l1?: L1Place;
  storage: 'auto' | 'opfs' | 'indexeddb' | 'memory';
  /** Milliseconds of work at a time. */
  budget: number;
}

/** What a tab asks of the engine. */
export type Call =
  | { call: 'send'; body: string }
  | { call: 'evidence' }
  | { call: 'panic' };

export interface Results {
  send: string;
  evidence: Uint8Array | null;
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
  | { type: 'rolledBack'; from: number; to: number }
  | { type: 'problem'; problem: ReplicaProblem }
  /** JSON-RPC notifications. */
  | { type: 'notifications'; messages: string[] }
  /** Subscriptions and filters are gone. */
  | { type: 'reset' };

/** A tab, as the engine sees it. */
export interface Listener {
  post(message: FromEngine): void;
}
