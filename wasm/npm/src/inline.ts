/** The same in a single file: the modules and the worker are in it. */

import { full, light, worker } from './embedded.js';
import { checkEvidence as check, create, placeOf, type Parts } from './replica.js';
import type { CheckOptions, Judgement, ModuleOptions, Replica, ReplicaOptions } from './types.js';

export { announce, withWallet, type ProviderInfo } from './announce.js';
export { MismatchError, ProviderRpcError } from './errors.js';
export type * from './types.js';

/** As `createReplica` of the package's main entry, without any other file. Under a CSP the worker needs `worker-src blob:`. */
export function createReplica(options: ReplicaOptions): Promise<Replica> {
  return create(options, parts);
}

/** As `checkEvidence` of the package's main entry. */
export function checkEvidence(file: Uint8Array, options: CheckOptions & ModuleOptions = {}): Promise<Judgement> {
  return check(file, options, parts);
}

const parts: Parts = {
  makeWorker() {
    const url = URL.createObjectURL(new Blob([worker], { type: 'text/javascript' }));
    try {
      return new Worker(url, { type: 'module', name: 'zk-replica' });
    } finally {
      // The worker has it by then, or has failed.
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    }
  },
  async place(kind, options) {
    if (options.wasmBytes !== undefined || options.wasmUrl !== undefined) return placeOf(options);
    return { wasmBytes: await unpacked(kind === 'light' ? light : full) };
  },
};

async function unpacked(packed: string): Promise<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}
