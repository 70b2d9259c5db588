/** The same in a single file: the module and the worker are in it. */

import { wasm, worker } from './embedded.js';
import { checkEvidence as check, create } from './replica.js';
import type { CheckOptions, Judgement, ModuleOptions, Replica, ReplicaOptions } from './types.js';

export { announce, withWallet, type ProviderInfo } from './announce.js';
export { MismatchError, ProviderRpcError } from './errors.js';
export type * from './types.js';

/** As `createReplica` of the package's main entry, without any other file. Under a CSP the worker needs `worker-src blob:`. */
export function createReplica(options: ReplicaOptions): Promise<Replica> {
  return create(embedded(options), makeWorker);
}

/** As `checkEvidence` of the package's main entry. */
export function checkEvidence(file: Uint8Array, options: CheckOptions & ModuleOptions = {}): Promise<Judgement> {
  return check(file, embedded(options), makeWorker);
}

function makeWorker(): Worker {
  const url = URL.createObjectURL(new Blob([worker], { type: 'text/javascript' }));
  try {
    return new Worker(url, { type: 'module', name: 'zk-replica' });
  } finally {
    // The worker has it by then, or has failed.
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}

function embedded<O extends ModuleOptions>(options: O): O {
  const wasmBytes = options.wasmBytes ?? (options.wasmUrl === undefined ? bytes(wasm) : undefined);
  return { ...options, wasmBytes };
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
