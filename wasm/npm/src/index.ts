/** A replica of a Polygon zkEVM or CDK chain that re-executes every block where it runs. */

import { create } from './replica.js';
import type { Replica, ReplicaOptions } from './types.js';

export { announce, withWallet, type ProviderInfo } from './announce.js';
export { MismatchError, ProviderRpcError } from './errors.js';
export type * from './types.js';

/**
 * Begins to verify, and resolves when the engine runs; {@link Replica.waitSynced} says when it is at the tip.
 *
 * Rejects when the options cannot be used: files that are not there, or are none.
 */
export function createReplica(options: ReplicaOptions): Promise<Replica> {
  return create(options, () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'zk-replica' }));
}
