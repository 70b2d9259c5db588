import { custom, type CustomTransport } from 'viem';
import type { Replica } from './types.js';

/** A viem transport that answers from verified blocks. */
export function replicaTransport(replica: Replica): CustomTransport {
  // Nothing gets better by asking again.
  return custom(replica.provider, { key: 'zk-replica', name: 'zk-replica', retryCount: 0 });
}
