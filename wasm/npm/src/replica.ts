import { nameOf } from './disk.js';
import { inWords } from './errors.js';
import { Host } from './host.js';
import { loadText } from './load.js';
import type { EngineOptions, FromEngine } from './messages.js';
import { receive, type Broadcast, type FromWorker, type ToWorker } from './serve.js';
import { Session } from './session.js';
import type { ChainFile, Checkpoint, Judgement, ModuleOptions, Replica, ReplicaOptions } from './types.js';

/** Milliseconds of work at a time: in a worker, where requests wait meanwhile, and in a page, where everything does. */
const BUDGET = { worker: 50, page: 12 };

/** Begins a replica. `makeWorker` makes the thread that it runs in. */
export async function create(options: ReplicaOptions, makeWorker: () => Worker): Promise<Replica> {
  if (options.checkpoint && options.stream) throw new Error('stream: there is none in light mode');
  if (!options.checkpoint && !options.genesis) throw new Error('genesis: it is needed where there is no checkpoint');
  const [chain, genesis] = await Promise.all([
    text(options.chain),
    options.genesis && !options.checkpoint ? text(options.genesis) : undefined,
  ]);
  const engine: EngineOptions = {
    mainNodes: [options.mainNode ?? []].flat(),
    chain,
    genesis,
    checkpoint: options.checkpoint && only(options.checkpoint),
    stream: typeof options.stream === 'object' && 'href' in options.stream ? options.stream.href : options.stream,
    storage: options.storage ?? 'auto',
    ...moduleOf(options),
    budget: BUDGET.worker,
  };
  if (typeof engine.stream === 'string') engine.stream = new URL(engine.stream, here()).href;
  const session = new Session();
  const threads = typeof Worker === 'function' && options.worker !== false;
  const locks = typeof navigator !== 'undefined' && navigator.locks !== undefined && typeof BroadcastChannel === 'function';
  if (threads && locks && options.shared !== false) await share(session, engine, makeWorker);
  else await alone(session, engine, threads ? makeWorker : undefined);
  await session.opened;
  return session;
}

/** A checkpoint, of something that is more. */
function only({ number, hash, stateRoot }: Checkpoint): Checkpoint {
  return { number, hash, stateRoot };
}

/** The wasm module's place, as it can be sent to a worker. */
function moduleOf(options: ModuleOptions): Pick<EngineOptions, 'wasmUrl' | 'wasmBytes'> {
  const { wasmUrl, wasmBytes } = options;
  return { wasmUrl: wasmUrl === undefined ? undefined : new URL(wasmUrl, here()).href, wasmBytes };
}

/** Repeats the check of an evidence file in this thread. */
export function checkEvidence(file: Uint8Array, options: ModuleOptions = {}): Promise<Judgement> {
  return Host.check(file, moduleOf(options));
}

async function text(file: ChainFile): Promise<string> {
  if (typeof file === 'string' || file instanceof URL) return loadText(new URL(file, here()).href);
  return JSON.stringify(file);
}

function here(): string | undefined {
  return typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
}

/** One engine for this tab. */
async function alone(session: Session, options: EngineOptions, makeWorker?: () => Worker) {
  const end = new AbortController();
  const running = makeWorker ? thread(session, options, makeWorker, end.signal) : page(session, options, end.signal);
  await running.opened;
  session.whenClosed(async () => {
    end.abort();
    await running.ended;
  });
}

/** One engine for all tabs: whoever has the lock runs it, and the others speak to it. */
async function share(session: Session, options: EngineOptions, makeWorker: () => Worker) {
  const name = `zk-replica:${nameOf(options)}`;
  const me = crypto.randomUUID();
  const channel = new BroadcastChannel(name);
  const end = new AbortController();
  let leading = false;
  const link = { post: (message: Parameters<typeof receive>[2]) => channel.postMessage({ from: me, message } satisfies Broadcast) };
  channel.onmessage = ({ data }: MessageEvent<Broadcast>) => {
    if (leading) return;
    if ('type' in data) {
      session.lose();
      session.use(link);
    } else if ('to' in data && data.to === me) {
      session.receive(data.message);
    }
  };
  const bye = () => leading || link.post({ type: 'bye' });
  addEventListener('pagehide', bye);
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => (fail = reject));
  failed.catch(() => {});
  const ended = navigator.locks
    .request(name, { signal: end.signal }, async () => {
      if (end.signal.aborted) return;
      leading = true;
      session.lose();
      const running = thread(session, options, makeWorker, end.signal, name);
      running.opened.catch(fail);
      await running.ended;
    })
    .catch((error) => {
      if (!end.signal.aborted) fail(error);
    });
  session.whenClosed(async () => {
    end.abort();
    await ended;
    removeEventListener('pagehide', bye);
    channel.close();
  });
  // If another tab leads, it answers; if it is not ready yet, it says when it is.
  session.use(link);
  await Promise.race([session.opened, failed]).catch(async (error) => {
    await session.close();
    throw error;
  });
}

interface Running {
  /** Rejects when the engine cannot be opened. */
  opened: Promise<void>;
  /** It is gone, after the signal or because it could not be opened. */
  ended: Promise<void>;
}

/** An engine in a worker, and another one when that dies. In the page, if there cannot be a worker. */
function thread(
  session: Session,
  options: EngineOptions,
  makeWorker: () => Worker,
  signal: AbortSignal,
  name?: string,
): Running {
  let open!: () => void;
  let fail!: (error: unknown) => void;
  const opened = new Promise<void>((resolve, reject) => ([open, fail] = [resolve, reject]));
  opened.catch(() => {});
  const run = async () => {
    while (!signal.aborted) {
      let worker: Worker;
      const life = navigator.locks ? `zk-replica-life:${crypto.randomUUID()}` : undefined;
      try {
        worker = await start(session, options, makeWorker, name, life);
      } catch (error) {
        if (!(error instanceof NoWorker)) throw error;
        const inPage = page(session, options, signal);
        await inPage.opened;
        open();
        return inPage.ended;
      }
      open();
      session.use({ post: (message) => worker.postMessage(message) });
      const how = await Promise.race([aborted(signal), died(life, signal)]);
      if (how === 'aborted') await stop(worker);
      worker.terminate();
      if (how === 'died') session.lose();
    }
  };
  return { opened, ended: run().catch(fail) };
}

class NoWorker extends Error {}

/** A worker whose engine is open. */
function start(
  session: Session,
  options: EngineOptions,
  makeWorker: () => Worker,
  name: string | undefined,
  life: string | undefined,
): Promise<Worker> {
  return new Promise((resolve, reject) => {
    let worker: Worker;
    try {
      worker = makeWorker();
    } catch (error) {
      reject(new NoWorker(inWords(error)));
      return;
    }
    worker.onerror = (event) => reject(new NoWorker(event.message));
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type === 'opened') {
        worker.onerror = null;
        worker.onmessage = ({ data }: MessageEvent<FromEngine>) => session.receive(data);
        resolve(worker);
      } else if (data.type === 'failed') {
        worker.terminate();
        reject(new Error(data.message));
      }
    };
    worker.postMessage({ type: 'open', options, name, life } satisfies ToWorker);
  });
}

/** Lets the engine write what it has. */
function stop(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const patience = setTimeout(resolve, 3000);
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type !== 'closed') return;
      clearTimeout(patience);
      resolve();
    };
    worker.postMessage({ type: 'close' } satisfies ToWorker);
  });
}

/** When the thread that holds this lock is gone. */
async function died(life: string | undefined, signal: AbortSignal): Promise<'died'> {
  if (life === undefined) return new Promise(() => {});
  await navigator.locks.request(life, { signal }, () => {}).catch(() => new Promise(() => {}));
  return 'died';
}

function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
}

/** An engine in this thread. */
function page(session: Session, options: EngineOptions, signal: AbortSignal): Running {
  const opening = Host.open({ ...options, budget: BUDGET.page });
  const opened = opening.then((host) => {
    const listener = {
      // Not within a call of the one who listens.
      post: (message: FromEngine) => queueMicrotask(() => session.receive(message)),
    };
    session.use({ post: (message) => receive(host, listener, message) });
  });
  const ended = opening.then(
    async (host) => {
      await aborted(signal);
      await host.close();
    },
    () => {},
  );
  return { opened, ended };
}
