import { inWords } from './errors.js';
import { Host } from './host.js';
import type { EngineOptions, FromEngine, Listener, ToEngine } from './messages.js';

/** To a worker: what to open first, then what the tab says that made it. */
export type ToWorker = { type: 'open'; options: EngineOptions; name?: string; life?: string } | { type: 'close' } | ToEngine;

/** From a worker. */
export type FromWorker = { type: 'opened' } | { type: 'failed'; message: string } | { type: 'closed' } | FromEngine;

/** Between the tabs of an origin. */
export type Broadcast = { type: 'up' } | { from: string; message: ToEngine } | { to: string; message: FromEngine };

/** Opens an engine in a worker, and serves the tab that made it, and all others that speak on the channel. */
export function serve(scope: DedicatedWorkerGlobalScope) {
  const post = (message: FromWorker) => scope.postMessage(message);
  const owner: Listener = { post };
  let host: Host | undefined;
  let channel: BroadcastChannel | undefined;
  scope.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
    if (data.type === 'open') {
      try {
        if (data.life !== undefined) await hold(data.life);
        host = await Host.open(data.options);
        if (data.name !== undefined) channel = speak(host, data.name);
        post({ type: 'opened' });
      } catch (error) {
        post({ type: 'failed', message: inWords(error) });
      }
    } else if (data.type === 'close') {
      await host?.close();
      channel?.close();
      post({ type: 'closed' });
    } else if (host) {
      receive(host, owner, data);
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

/** Serves the other tabs. */
function speak(host: Host, name: string): BroadcastChannel {
  const channel = new BroadcastChannel(name);
  const tabs = new Map<string, Listener>();
  channel.onmessage = ({ data }: MessageEvent<Broadcast>) => {
    if (!('from' in data)) return;
    const { from, message } = data;
    if (message.type !== 'hello' && !tabs.has(from)) return;
    const listener = tabs.get(from) ?? {
      post: (message: FromEngine) => channel.postMessage({ to: from, message } satisfies Broadcast),
    };
    tabs.set(from, listener);
    receive(host, listener, message);
    if (message.type === 'bye') tabs.delete(from);
  };
  channel.postMessage({ type: 'up' } satisfies Broadcast);
  return channel;
}

/** Holds a lock for as long as this thread lives: whoever waits for it learns of its end. */
function hold(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, () => {
        resolve();
        return new Promise(() => {});
      })
      .catch(reject);
  });
}
