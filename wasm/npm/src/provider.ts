import { ProviderRpcError } from './errors.js';
import type { Provider, ProviderEvents, RequestArguments } from './types.js';

type Listeners = { [E in keyof ProviderEvents]: Set<(value: ProviderEvents[E]) => void> };

/** EIP-1193 over JSON-RPC bodies. */
export class ReplicaProvider implements Provider {
  readonly #send: (body: string) => Promise<string>;
  readonly #listeners: Listeners = {
    connect: new Set(),
    disconnect: new Set(),
    chainChanged: new Set(),
    accountsChanged: new Set(),
    message: new Set(),
  };
  #next = 1;
  #closed = false;

  constructor(send: (body: string) => Promise<string>) {
    this.#send = send;
  }

  async request(args: RequestArguments): Promise<any> {
    // Scripts may say anything.
    const { method, params }: Partial<RequestArguments> = args ?? {};
    if (typeof method !== 'string' || method === '') throw new ProviderRpcError(-32602, 'expected { method, params }');
    if (this.#closed) throw new ProviderRpcError(4900, 'the replica is closed');
    const id = this.#next++;
    let answer: { result?: unknown; error?: { code: number; message: string; data?: unknown } };
    try {
      answer = JSON.parse(await this.#send(JSON.stringify({ jsonrpc: '2.0', id, method, params })));
    } catch (error) {
      if (this.#closed) throw new ProviderRpcError(4900, 'the replica is closed');
      throw new ProviderRpcError(-32603, error instanceof Error ? error.message : String(error));
    }
    if (answer.error) throw new ProviderRpcError(answer.error.code, answer.error.message, answer.error.data);
    return answer.result;
  }

  on<E extends keyof ProviderEvents>(event: E, listener: (value: ProviderEvents[E]) => void): this {
    this.#listeners[event]?.add(listener);
    return this;
  }

  removeListener<E extends keyof ProviderEvents>(event: E, listener: (value: ProviderEvents[E]) => void): this {
    this.#listeners[event]?.delete(listener);
    return this;
  }

  /** Tells listeners; what one of them throws is its own affair. */
  emit<E extends keyof ProviderEvents>(event: E, value: ProviderEvents[E]) {
    for (const listener of [...this.#listeners[event]]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** A JSON-RPC notification, as EIP-1193 has it. */
  notified(message: string) {
    const { method, params } = JSON.parse(message) as { method: string; params: unknown };
    if (method === 'eth_subscription') this.emit('message', { type: method, data: params });
  }

  end() {
    if (this.#closed) return;
    this.#closed = true;
    this.emit('disconnect', new ProviderRpcError(1000, 'the replica is closed'));
  }
}
