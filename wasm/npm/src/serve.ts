import { inWords } from './errors.js';
import { Host } from './host.js';
import { hold } from './locks.js';
import type { EngineOptions, FromEngine, Listener, ModulePlace, ToEngine } from './messages.js';
import type { Judgement } from './types.js';

/**
 * To a worker: what it is for first, an engine or the check of an evidence file, and the lock that it holds while it lives;
 * then what the tab says that made it.
 */
export type ToWorker =
  | { type: 'open'; options: EngineOptions; name?: string; life?: string }
  | { type: 'check'; file: Uint8Array; place: ModulePlace; life?: string }
  | { type: 'close' }
  | ToEngine;

/** From a worker. After `failed` it is of no use any more. */
export type FromWorker =
  | { type: 'alive' }
  | { type: 'opened' }
  | { type: 'judged'; judgement: Judgement }
  | { type: 'failed'; message: string }
  | { type: 'closed' }
  | FromEngine;

/** Between the tabs of an origin. */
export type Broadcast = { type: 'up' } | { from: string; message: ToEngine } | { to: string; message: FromEngine };

/** An engine in this thread. */
export interface Served {
  host: Host;
  close(): Promise<void>;
}

/** Opens an engine, which serves all tabs that speak on the channel `name`, if there is one. `gone` as for a {@link Host}. */
export async function open(options: EngineOptions, name: string | undefined, gone: (reason: string) => void): Promise<Served> {
  let end = () => {};
  const host = await Host.open(options, (reason) => {
    end();
    gone(reason);
  });
  if (name !== undefined) end = speak(host, name);
  return {
    host,
    close() {
      // Other tabs are not told that it is closed: they ask the next engine.
      end();
      return host.close();
    },
  };
}

/** What a worker does. */
export function serve(scope: DedicatedWorkerGlobalScope) {
  const post = (message: FromWorker) => scope.postMessage(message);
  const fail = (message: string) => post({ type: 'failed', message });
  const owner: Listener = { post };
  let served: Served | undefined;
  scope.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
    if (data.type === 'open' || data.type === 'check') {
      try {
        if (data.life !== undefined) {
          await hold(data.life);
          post({ type: 'alive' });
        }
        if (data.type === 'check') {
          post({ type: 'judged', judgement: await Host.check(data.file, data.place) });
        } else {
          served = await open(data.options, data.name, fail);
          post({ type: 'opened' });
        }
      } catch (error) {
        fail(inWords(error));
      }
    } else if (data.type === 'close') {
      await served?.close();
      post({ type: 'closed' });
    } else if (served) {
      receive(served.host, owner, data);
    }
  };
}

/** What a tab says. */
export function receive(host: Host, listener: Listener, message: ToEngine) {
  if (message.type === 'hello') {
    host.detach(listener);
    host.attach(listener);
  } else if (message.type === 'bye') {
    host.detach(listener);
  } else {
    const { type, id, ...call } = message;
    void host.answer(listener, id, call);
  }
}

/** Serves the other tabs, until the function is called that it returns. */
function speak(host: Host, name: string): () => void {
  const channel = new BroadcastChannel(name);
  const tabs = new Map<string, Listener>();
  const end = new AbortController();
  const forget = (tab: string) => {
    const listener = tabs.get(tab);
    tabs.delete(tab);
    if (listener) host.detach(listener);
  };
  channel.onmessage = ({ data }: MessageEvent<Broadcast>) => {
    if (!('from' in data)) return;
    const { from, message } = data;
    if (message.type === 'bye') return forget(from);
    let listener = tabs.get(from);
    if (!listener) {
      if (message.type !== 'hello') return;
      listener = { post: (message: FromEngine) => channel.postMessage({ to: from, message } satisfies Broadcast) };
      tabs.set(from, listener);
      // A tab that crashes says nothing; but its lock is free then.
      navigator.locks.request(tabLock(from), { signal: end.signal }, () => forget(from)).catch(() => {});
    }
    receive(host, listener, message);
  };
  channel.postMessage({ type: 'up' } satisfies Broadcast);
  return () => {
    end.abort();
    channel.close();
  };
}

/** What a tab holds for as long as it is there. */
export function tabLock(tab: string): string {
  return `zk-replica-tab:${tab}`;
}
