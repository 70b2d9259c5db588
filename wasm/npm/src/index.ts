/** A replica of a Polygon zkEVM or CDK chain that re-executes every block where it runs. */

import { checkEvidence as check, create, placeOf, type Parts } from './replica.js';
import type { CheckOptions, Judgement, ModuleOptions, Replica, ReplicaOptions } from './types.js';

export { announce, withWallet, type ProviderInfo } from './announce.js';
export { MismatchError, ProviderRpcError } from './errors.js';
export type * from './types.js';

/**
 * Begins to verify, and resolves when the engine runs; {@link Replica.waitSynced} says when it is at the tip.
 *
 * Rejects when the options cannot be used: files that are not there, or are none.
 */
export function createReplica(options: ReplicaOptions): Promise<Replica> {
  return create(options, parts);
}

/**
 * Repeats the check of an evidence file, whichever chain it is about. It needs no replica. It works in a worker of its own;
 * where there is none, as in Node, in this thread, and `signal` cannot end it.
 */
export function checkEvidence(file: Uint8Array, options: CheckOptions & ModuleOptions = {}): Promise<Judgement> {
  return check(file, options, parts);
}

const parts: Parts = {
  makeWorker: () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'zk-replica' }),
  place: (_, options) => placeOf(options),
};
