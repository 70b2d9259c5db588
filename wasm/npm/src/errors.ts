import type { Mismatch } from './types.js';

/** EIP-1193's error: a JSON-RPC code, or one of 4001, 4100, 4200, 4900, 4901; with `disconnect` one of WebSocket's. */
export class ProviderRpcError extends Error {
  override readonly name = 'ProviderRpcError';
  readonly code: number;
  readonly data?: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    if (data !== undefined) this.data = data;
  }
}

/** The main node is wrong, or L1 has another state: what {@link Replica.waitSynced} waits for does not come. */
export class MismatchError extends Error {
  override readonly name = 'MismatchError';
  readonly mismatch: Mismatch;

  constructor(mismatch: Mismatch) {
    const { block, batch, claim, by, expected, computed } = mismatch;
    const wrong = by === 'l1' ? 'L1 has another state' : 'the main node is wrong';
    super(`${wrong}: block ${block} (batch ${batch}): ${claim}: expected ${expected}, computed ${computed}`);
    this.mismatch = mismatch;
  }
}

/** What was thrown, in words. */
export function inWords(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
