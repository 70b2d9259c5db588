import { engineNameOf } from './disk.js';
import { inWords } from './errors.js';
import { Host } from './host.js';
import { loadText } from './load.js';
import { hold } from './locks.js';
import type { EngineOptions, FromEngine, L1Place, ModulePlace } from './messages.js';
import { kindOf, type Kind } from './module.js';
import { open, receive, tabLock, type Broadcast, type FromWorker, type ToWorker } from './serve.js';
import { Session, type Link } from './session.js';
import type { ChainFile, Checkpoint, CheckOptions, Judgement, L1Options, ModuleOptions, Replica, ReplicaOptions } from './types.js';

/** Milliseconds of work at a time: in a worker, where requests wait meanwhile, and in a page, where everything does. */
const BUDGET = { worker: 50, page: 12 };

/** Milliseconds between two questions to L1: it makes no block sooner. */
const L1_INTERVAL = 12_000;

/** Milliseconds before another engine is begun when more than one has failed: the first time, and at most. */
const AGAIN: [number, number] = [1000, 30_000];

/** Milliseconds after which an engine's failure is not the same trouble any more. */
const LASTED = 60_000;

/** What the package's entry has beside it. */
export interface Parts {
  /** A thread for an engine. */
  makeWorker(): Worker;
  /** Where a module is, as it can be sent to a worker; what the options say comes first. */
  place(kind: Kind, options: ModuleOptions): ModulePlace | Promise<ModulePlace>;
}

/** Begins a replica. */
export async function create(options: ReplicaOptions, { makeWorker, place }: Parts): Promise<Replica> {
  const kind = kindOf(options);
  const light = kind === 'light';
  if (options.snapshot && !options.checkpoint) throw new Error('checkpoint: it says which block a snapshot has to be of');
  if (light && options.stream) throw new Error('stream: there is none in light mode');
  if (!options.checkpoint && !options.genesis) throw new Error('genesis: it is needed where there is no checkpoint');
  const l1 = options.l1 && l1Of(options.l1);
  if (light && l1) throw new Error('l1: light mode does not compare with L1');
  const mainNodes = [options.mainNode ?? []].flat();
  if (light && mainNodes.length === 0) throw new Error('mainNode: it is needed in light mode');
  const [chain, genesis] = await Promise.all([
    text(options.chain),
    options.genesis && !options.checkpoint ? text(options.genesis) : undefined,
  ]);
  const engine: EngineOptions = {
    mainNodes,
    chain,
    genesis,
    checkpoint: options.checkpoint && only(options.checkpoint),
    snapshot: fileOf(options.snapshot),
    stream: fileOf(options.stream),
    l1,
    storage: options.storage ?? 'auto',
    ...(await place(kind, options)),
    budget: BUDGET.worker,
  };
  const thread = options.worker === false ? undefined : makeWorker;
  const session = new Session(async (file, { signal }) => judge(file, await place('light', light ? options : {}), thread, signal));
  const locks = typeof navigator !== 'undefined' && navigator.locks !== undefined && typeof BroadcastChannel === 'function';
  const shared = typeof Worker === 'function' && locks && options.shared !== false;
  if (shared) await share(session, engine, thread);
  else await alone(session, engine, thread);
  return session;
}

/** What L1 is asked for, checked: a mistake in it would be told as trouble for ever. */
function l1Of({ url, rollupManager, rollupId, block = 'finalized', interval = L1_INTERVAL }: L1Options): L1Place {
  const urls = [url].flat().map((one) => {
    if (typeof one !== 'string' || !URL.canParse(one, here())) throw new Error(`l1.url: ${one} is no address`);
    return new URL(one, here()).href;
  });
  if (urls.length === 0) throw new Error('l1.url: an address of an L1 node is needed');
  if (!/^0x[0-9a-f]{40}$/i.test(rollupManager)) throw new Error('l1.rollupManager: it is 0x and 40 hexadecimal digits');
  if (!Number.isInteger(rollupId) || rollupId < 1 || rollupId > 0xffff_ffff) throw new Error('l1.rollupId: it is a whole number from 1 on');
  if (!['finalized', 'safe', 'latest'].includes(block)) throw new Error('l1.block: it is finalized, safe or latest');
  if (!(interval >= 1000)) throw new Error('l1.interval: it is a number of milliseconds, 1000 or more');
  return { urls, rollupManager: rollupManager.toLowerCase(), rollupId, block, interval };
}

/** A file: its content, or where it is as seen from anywhere. */
function fileOf(file: string | URL | Uint8Array | undefined): string | Uint8Array | undefined {
  return typeof file === 'object' && !('href' in file) ? file : file && new URL(file, here()).href;
}

/** A checkpoint, of something that is more. */
function only({ number, hash, stateRoot }: Checkpoint): Checkpoint {
  return { number, hash, stateRoot };
}

/** What the options say of the wasm module, as it can be sent to a worker. */
export function placeOf({ wasmUrl, wasmBytes }: ModuleOptions): ModulePlace {
  return { wasmUrl: wasmUrl === undefined ? undefined : new URL(wasmUrl, here()).href, wasmBytes };
}

/** Repeats the check of an evidence file. */
export async function checkEvidence(file: Uint8Array, options: CheckOptions & ModuleOptions, { makeWorker, place }: Parts): Promise<Judgement> {
  return judge(file, await place('light', options), makeWorker, options.signal);
}

/** The same, in a worker of its own if there can be one: whoever wrote the file decides how long it takes. */
async function judge(
  file: Uint8Array,
  place: ModulePlace,
  makeWorker: (() => Worker) | undefined,
  signal: AbortSignal = new AbortController().signal,
): Promise<Judgement> {
  signal.throwIfAborted();
  if (!makeWorker || typeof Worker !== 'function') return Host.check(file, place);
  let judgement: Judgement | undefined;
  const check = (life?: string): ToWorker => ({ type: 'check', file, place, life });
  try {
    await employ(makeWorker, check, signal, (message, _, done) => {
      if (message.type !== 'judged') return;
      judgement = message.judgement;
      done();
    });
  } catch (error) {
    if (error instanceof NoWorker) return Host.check(file, place);
    throw error;
  }
  if (judgement) return judgement;
  throw signal.reason;
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
  const lead = () =>
    live(session, options, makeWorker, end.signal).catch((error) => {
      session.lose();
      throw error;
    });
  await tend(session, end, lead);
}

/** One engine for all tabs: whoever has the lock runs it, and the others speak to it. */
async function share(session: Session, options: EngineOptions, makeWorker?: () => Worker) {
  const name = `zk-replica:${engineNameOf(options)}`;
  const me = crypto.randomUUID();
  const end = new AbortController();
  await hold(tabLock(me), end.signal);
  const channel = new BroadcastChannel(name);
  let leading = false;
  const link: Link = { post: (message) => channel.postMessage({ from: me, message } satisfies Broadcast) };
  channel.onmessage = ({ data }: MessageEvent<Broadcast>) => {
    if (leading) return;
    if ('type' in data) {
      session.lose();
      session.use(link);
    } else if ('to' in data && data.to === me) {
      session.receive(data.message);
    }
  };
  const lead = () =>
    navigator.locks.request(name, { signal: end.signal }, async () => {
      leading = true;
      session.lose();
      await live(session, options, makeWorker, end.signal, name).catch((error) => {
        leading = false;
        session.lose();
        session.use(link);
        throw error;
      });
    });
  // If another tab leads, it answers; if it is not ready yet, it says when it is.
  session.use(link);
  await tend(session, end, lead, () => channel.close());
}

/**
 * Sees to it that the session has an engine until it is closed: another one when it is gone, and after a while when there can
 * be none. Rejects when there was none at all.
 */
async function tend(session: Session, end: AbortController, lead: () => Promise<void>, last: () => void = () => {}) {
  const { signal } = end;
  let opened = false;
  let fail!: (error: unknown) => void;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  const run = async () => {
    for (let failures = 0; !signal.aborted; ) {
      const begun = Date.now();
      try {
        await lead();
      } catch (error) {
        if (signal.aborted) return;
        if (!opened) return fail(error);
        session.receive({ type: 'problem', problem: { kind: 'engine', message: inWords(error) } });
        failures = Date.now() - begun > LASTED ? 1 : failures + 1;
        if (failures > 1) await pause(Math.min(AGAIN[1], AGAIN[0] * 2 ** (failures - 2)), signal);
      }
    }
  };
  const ended = run();
  session.whenClosed(async () => {
    end.abort();
    await ended;
    last();
  });
  try {
    await Promise.race([session.opened, failed]);
    opened = true;
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** One engine until `signal`, in a worker, or in the page if there cannot be one. Rejects when it is gone before. */
async function live(
  session: Session,
  options: EngineOptions,
  makeWorker: (() => Worker) | undefined,
  signal: AbortSignal,
  name?: string,
): Promise<void> {
  if (makeWorker && typeof Worker === 'function') {
    try {
      return await inWorker(session, options, makeWorker, signal, name);
    } catch (error) {
      if (!(error instanceof NoWorker)) throw error;
      const message = `there can be no worker (${inWords(error)}): the engine is in the page`;
      session.receive({ type: 'problem', problem: { kind: 'engine', message } });
    }
  }
  return inPage(session, options, signal, name);
}

function inWorker(session: Session, options: EngineOptions, makeWorker: () => Worker, signal: AbortSignal, name?: string) {
  return employ(
    makeWorker,
    (life) => ({ type: 'open', options, name, life }),
    signal,
    (message, worker) => {
      switch (message.type) {
        case 'opened':
          return session.use({ post: (message) => worker.postMessage(message) });
        case 'alive':
        case 'judged':
        case 'failed':
        case 'closed':
          return;
        default:
          session.receive(message);
      }
    },
    stop,
  );
}

async function inPage(session: Session, options: EngineOptions, signal: AbortSignal, name?: string) {
  let fail!: (reason: string) => void;
  const gone = new Promise<never>((_, reject) => (fail = (reason) => reject(new Error(reason))));
  const { host, close } = await open({ ...options, budget: BUDGET.page }, name, fail);
  const listener = {
    // Not within a call of the one who listens.
    post: (message: FromEngine) => queueMicrotask(() => session.receive(message)),
  };
  session.use({ post: (message) => receive(host, listener, message) });
  try {
    await Promise.race([aborted(signal), gone]);
  } finally {
    await close();
  }
}

class NoWorker extends Error {}

/**
 * Has a worker do something until it is `done`, or until `signal`; `last` is what the worker does then. Rejects when it
 * cannot be made ({@link NoWorker}), fails, or dies.
 */
async function employ(
  makeWorker: () => Worker,
  first: (life?: string) => ToWorker,
  signal: AbortSignal,
  hear: (message: FromWorker, worker: Worker, done: () => void) => void,
  last?: (worker: Worker) => Promise<void>,
): Promise<void> {
  let worker: Worker;
  try {
    worker = makeWorker();
  } catch (error) {
    throw new NoWorker(inWords(error));
  }
  const life = navigator.locks ? `zk-replica-life:${crypto.randomUUID()}` : undefined;
  const over = new AbortController();
  let begun = false;
  try {
    await new Promise<void>((resolve, reject) => {
      if (signal.aborted) return resolve();
      signal.addEventListener('abort', () => resolve(), { signal: over.signal });
      worker.onerror = (event) => {
        // Once it runs, an exception is none of its making.
        if (!begun) reject(new NoWorker(event.message || 'its script cannot be loaded'));
      };
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        begun = true;
        if (data.type === 'failed') reject(new Error(data.message));
        else if (data.type !== 'alive') hear(data, worker, resolve);
        else if (life !== undefined) void died(life, over.signal).then(() => reject(new Error('the worker is gone')));
      };
      worker.postMessage(first(life));
    });
    if (begun) await last?.(worker);
  } finally {
    over.abort();
    worker.terminate();
  }
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
function died(life: string, signal: AbortSignal): Promise<void> {
  return navigator.locks.request(life, { signal }, () => {}).catch(() => new Promise(() => {}));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function pause(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
