import type { Disk as EngineDisk } from './full.js';
import { inWords } from './errors.js';
import { hold } from './locks.js';
import type { EngineOptions } from './messages.js';
import type { Storage } from './types.js';

/** Bytes of a page in IndexedDB. */
const PAGE = 64 << 10;

/** Milliseconds that a file may still be held by a tab that is going away. */
const HELD = 5000;

/** What the engine writes its log to. */
export interface Disk extends EngineDisk {
  readonly storage: Storage;
  /** Everything is written when it resolves. */
  close(): Promise<void>;
}

/** The best disk of those that are wanted; none when records are to be in memory. */
export async function openDisk(
  wanted: 'auto' | Storage,
  name: string,
  problem: (kind: 'storage' | 'quota', message: string) => void,
): Promise<Disk | undefined> {
  if (wanted === 'memory') return undefined;
  const ways: [Storage, () => Promise<Disk | undefined>][] = [
    ['opfs', () => openFile(name)],
    ['indexeddb', () => openPages(name)],
  ];
  for (const [storage, open] of ways) {
    if (wanted !== 'auto' && wanted !== storage) continue;
    try {
      const disk = await open();
      if (disk) return disk;
      if (wanted === storage) problem('storage', `there is no ${storage} here: records are kept in memory`);
    } catch (error) {
      const full = error instanceof DOMException && error.name === 'QuotaExceededError';
      problem(full ? 'quota' : 'storage', `${storage} cannot be used: ${inWords(error)}`);
    }
  }
  return undefined;
}

/** A file of the origin's private file system. Only workers may write to it at once. */
async function openFile(name: string): Promise<Disk | undefined> {
  if (typeof navigator === 'undefined' || typeof navigator.storage?.getDirectory !== 'function') return undefined;
  if (typeof FileSystemFileHandle === 'undefined' || !('createSyncAccessHandle' in FileSystemFileHandle.prototype)) return undefined;
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('zk-replica', { create: true });
  const file = await folder.getFileHandle(`${name}.log`, { create: true });
  const end = Date.now() + HELD;
  for (;;) {
    try {
      const handle = await file.createSyncAccessHandle();
      return {
        storage: 'opfs',
        size: () => handle.getSize(),
        read: (at, into) => handle.read(into as Uint8Array<ArrayBuffer>, { at }),
        write: (at, bytes) => handle.write(bytes as Uint8Array<ArrayBuffer>, { at }),
        flush: () => handle.flush(),
        truncate: (size) => handle.truncate(size),
        close: async () => handle.close(),
      };
    } catch (error) {
      const held = error instanceof DOMException && error.name === 'NoModificationAllowedError';
      if (!held || Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Pages in IndexedDB. It is asynchronous: everything is in memory, and written behind; each flush is one transaction. */
async function openPages(name: string): Promise<Disk | undefined> {
  if (typeof indexedDB === 'undefined') return undefined;
  // Two that write to the same pages would destroy them.
  const free = new AbortController();
  if (navigator.locks) {
    await hold(`zk-replica-pages:${name}`, free.signal, AbortSignal.timeout(HELD)).catch(() => {
      throw new Error('it is in use');
    });
  }
  try {
    return await readPages(name, () => free.abort());
  } catch (error) {
    free.abort();
    throw error;
  }
}

async function readPages(name: string, closed: () => void): Promise<Disk> {
  const opening = indexedDB.open(`zk-replica-${name}`, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('pages');
  const database = await done(opening);
  const store = database.transaction('pages').objectStore('pages');
  const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
  const pages: Uint8Array[] = [];
  let size = 0;
  keys.forEach((key, index) => {
    const page = values[index];
    if (key === 'size') size = page;
    else pages[key as number] = page;
  });
  const dirty = new Set<number>();
  let writing: Promise<void> = Promise.resolve();
  let failure: unknown;
  const page = (number: number) => (pages[number] ??= new Uint8Array(PAGE));
  /** Copies between `bytes` and the pages from `at` on. */
  const each = (at: number, length: number, copy: (page: number, from: number, at: number, count: number) => void) => {
    for (let done = 0; done < length; ) {
      const [number, from] = [Math.floor((at + done) / PAGE), (at + done) % PAGE];
      const count = Math.min(PAGE - from, length - done);
      copy(number, from, done, count);
      done += count;
    }
  };
  const write = async (numbers: number[], length: number) => {
    const transaction = database.transaction('pages', 'readwrite', { durability: 'strict' });
    const target = transaction.objectStore('pages');
    const whole = Math.ceil(length / PAGE);
    target.delete(IDBKeyRange.bound(whole, Infinity));
    for (const number of numbers) if (number < whole) target.put(page(number), number);
    target.put(length, 'size');
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  };
  return {
    storage: 'indexeddb',
    size: () => size,
    read(at, into) {
      const length = Math.max(0, Math.min(into.length, size - at));
      each(at, length, (number, from, done, count) => into.set(page(number).subarray(from, from + count), done));
      return length;
    },
    write(at, bytes) {
      each(at, bytes.length, (number, from, done, count) => {
        page(number).set(bytes.subarray(done, done + count), from);
        dirty.add(number);
      });
      size = Math.max(size, at + bytes.length);
      return bytes.length;
    },
    flush() {
      // It is behind: what failed is told the next time.
      if (failure !== undefined) throw failure;
      const numbers = [...dirty];
      dirty.clear();
      const length = size;
      writing = writing.then(() => write(numbers, length)).catch((error) => {
        failure ??= error;
      });
    },
    truncate(length) {
      size = length;
    },
    async close() {
      await writing;
      database.close();
      closed();
    },
  };
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * A name for the chain's records: what it begins with and its rules decide, and the version of the records' form. Records are
 * as true from one main node as from another.
 */
export function nameOf({ chain, genesis, checkpoint }: EngineOptions): string {
  let id: unknown;
  try {
    id = (JSON.parse(chain) as { chainId?: unknown }).chainId;
  } catch {
    // The engine says what is wrong with it.
  }
  return `v2-${typeof id === 'number' ? id : 0}-${digest(JSON.stringify([chain, genesis, checkpoint]))}`;
}

/** A name for the engine that tabs share: who names other sources follows with an engine of its own. */
export function engineNameOf(options: EngineOptions): string {
  const { mainNodes, stream, l1 } = options;
  const file = typeof stream === 'string' ? stream : stream?.length;
  return `${nameOf(options)}-${digest(JSON.stringify([mainNodes, file, l1]))}`;
}

/** 53 bits. The log itself says whose it is. */
function digest(text: string): string {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(16).padStart(14, '0');
}
