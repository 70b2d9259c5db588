import { MismatchError, ProviderRpcError } from './errors.js';
import { ReplicaProvider } from './provider.js';
import type { Call, FromEngine, Results, ToEngine } from './messages.js';
import type { CheckOptions, Judgement, Replica, ReplicaEvents, Status } from './types.js';

/** A way to an engine. */
export interface Link {
  post(message: ToEngine): void;
}

interface Pending {
  call: Call;
  resolve(result: any): void;
  reject(error: Error): void;
}

/** A tab's side. The engine behind it may become another one: what was asked and not answered is asked again. */
export class Session implements Replica {
  readonly provider: ReplicaProvider;
  readonly #check: (file: Uint8Array, options: CheckOptions) => Promise<Judgement>;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Map<keyof ReplicaEvents, Set<(value: any) => void>>();
  readonly #early: { event: keyof ReplicaEvents; value: unknown }[] = [];
  #link: Link | undefined;
  #next = 1;
  #status: Status | undefined;
  #closing: Promise<void> | undefined;
  #end: () => Promise<void> = async () => {};
  #connected = false;
  readonly opened: Promise<void>;
  #open!: () => void;

  constructor(check: (file: Uint8Array, options: CheckOptions) => Promise<Judgement>) {
    this.#check = check;
    this.provider = new ReplicaProvider((body) => this.send(body));
    this.opened = new Promise((resolve) => (this.#open = resolve));
  }

  /** From now on this is the engine. */
  use(link: Link) {
    this.#link = link;
    link.post({ type: 'hello' });
    for (const [id, { call }] of this.#pending) link.post({ type: 'call', id, ...call });
  }

  /** The engine is gone; another one will come. */
  lose() {
    if (!this.#link) return;
    this.#link = undefined;
    this.#reset();
    // The next one has to find out anew how far the main node is.
    if (this.#status) this.#status = { ...this.#status, synced: false, rate: 0 };
  }

  /** What {@link close} does at last. */
  whenClosed(end: () => Promise<void>) {
    this.#end = end;
  }

  receive(message: FromEngine) {
    if (this.#closing) return;
    switch (message.type) {
      case 'result':
      case 'failure': {
        const pending = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        if (message.type === 'result') pending?.resolve(message.result);
        else pending?.reject(new Error(message.message));
        break;
      }
      case 'status':
        this.#status = message.status;
        this.#open();
        if (!this.#connected) {
          this.#connected = true;
          // Whoever is about to get the provider wants to hear it, too.
          const chainId = `0x${message.status.chainId.toString(16)}`;
          setTimeout(() => this.provider.emit('connect', { chainId }), 0);
        }
        this.#emit('status', message.status);
        break;
      case 'blocks':
        for (const block of message.blocks) this.#emit('block', block);
        break;
      case 'mismatch':
        this.#emit('mismatch', message.mismatch);
        break;
      case 'rolledBack':
        this.#emit('rolledBack', { from: message.from, to: message.to });
        break;
      case 'problem':
        this.#emit('error', message.problem);
        break;
      case 'notifications':
        for (const text of message.messages) this.provider.notified(text);
        break;
      case 'reset':
        this.#reset();
        break;
    }
  }

  #reset() {
    if (!this.#connected) return;
    this.#connected = false;
    this.provider.emit('disconnect', new ProviderRpcError(1013, 'the engine was started again: subscribe again'));
  }

  get status(): Status {
    if (!this.#status) throw new Error('the replica is not open yet');
    return structuredClone(this.#status);
  }

  async waitSynced(): Promise<Status> {
    await this.opened;
    for (;;) {
      const status = this.status;
      if (status.halted) throw new MismatchError(status.halted);
      if (this.#closing) throw new Error('the replica is closed');
      if (status.synced) return status;
      await new Promise<void>((resolve) => {
        const stop = this.on('status', () => {
          stop();
          resolve();
        });
      });
    }
  }

  on<E extends keyof ReplicaEvents>(event: E, listener: (value: ReplicaEvents[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    // What was told before anybody could listen.
    for (const early of this.#early.splice(0)) {
      if (early.event === event) queueMicrotask(() => listener(early.value as ReplicaEvents[E]));
      else this.#early.push(early);
    }
    return () => listeners.delete(listener);
  }

  #emit<E extends keyof ReplicaEvents>(event: E, value: ReplicaEvents[E]) {
    const listeners = this.#listeners.get(event);
    if (!listeners && (event === 'error' || event === 'mismatch') && this.#early.length < 16) {
      this.#early.push({ event, value });
    }
    for (const listener of [...(listeners ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  send(body: string): Promise<string> {
    return this.call({ call: 'send', body });
  }

  evidence(): Promise<Uint8Array | null> {
    return this.call({ call: 'evidence' });
  }

  checkEvidence(file: Uint8Array, options: CheckOptions = {}): Promise<Judgement> {
    return this.#check(file, options);
  }

  call<C extends Call>(call: C): Promise<Results[C['call']]> {
    if (this.#closing) return Promise.reject(new Error('the replica is closed'));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { call, resolve, reject });
      this.#link?.post({ type: 'call', id, ...call });
    });
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#link?.post({ type: 'bye' });
      this.provider.end();
      for (const { reject } of this.#pending.values()) reject(new Error('the replica is closed'));
      this.#pending.clear();
      // Whoever waits for a status is told that none comes.
      if (this.#status) this.#emit('status', this.#status);
      await this.#end();
    })();
    return this.#closing;
  }
}
