import { inWords } from './errors.js';
import { readFile } from './load.js';

/** Bytes that are asked for at once. */
const RANGE = 4 << 20;

/** Bytes that two ranges have in common: by them a file that was replaced meanwhile is found out. */
const COMMON = 1 << 10;

/** Times that a range is asked for before the stream is given up. */
const ATTEMPTS = 3;

/** Milliseconds in which something of an answer has to come. */
const SILENCE = 8000;

type Chunks = AsyncGenerator<Uint8Array, void>;

/**
 * Pieces of a stream file, in order, up to its `length`, once that is known. Whoever takes them decides when the next is
 * fetched; `signal` ends what is under way.
 */
export async function* pieces(source: string | Uint8Array, signal: AbortSignal, length: () => number | undefined): Chunks {
  let taken = 0;
  for await (const piece of whole(source, signal)) {
    yield piece;
    taken += piece.length;
    // What the file has behind is no part of the stream.
    if (taken >= (length() ?? Infinity)) return;
  }
}

/** All of a file. */
export async function* whole(source: string | Uint8Array, signal: AbortSignal): Chunks {
  if (typeof source !== 'string') yield* unpacked(read(new Blob([source as Uint8Array<ArrayBuffer>]).stream()));
  else if (source.startsWith('file:')) yield* unpacked(read(new Blob([await readFile(source)]).stream()));
  else if (/\.gz($|[?#])/.test(source)) yield* unpacked((await persist(() => ask(source, signal))).chunks);
  else yield* ranges(source, signal);
}

/** By ranges, where the server has them: a failure costs one range. */
async function* ranges(url: string, signal: AbortSignal): Chunks {
  let common = new Uint8Array();
  for (let at = 0; ; ) {
    const from = at - common.length;
    const { response, chunks, bytes } = await persist(async () => {
      const answer = await ask(url, signal, `bytes=${from}-${from + RANGE - 1}`);
      return { ...answer, bytes: answer.response.status === 206 ? await gather(answer.chunks) : undefined };
    });
    if (!bytes) {
      if (at === 0 && response.ok) return yield* chunks;
      await response.body?.cancel();
      if (at === 0) return;
      throw new Final(`${url} does not serve ranges any more`);
    }
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    if (range && Number(range[1]) !== from) throw new Final(`${url} serves another range than it was asked for`);
    if (common.some((byte, index) => bytes[index] !== byte)) throw new Final(`${url} is another file than it was`);
    const fresh = bytes.subarray(common.length);
    if (fresh.length === 0) return;
    at += fresh.length;
    common = bytes.slice(-COMMON);
    yield fresh;
    const total = Number(range?.[2]);
    if (at >= total || (Number.isNaN(total) && bytes.length < RANGE)) return;
  }
}

/** An answer that says no, and will say no again. */
class Final extends Error {}

/** Tries again what may go better the next time. */
async function persist<T>(attempt: () => Promise<T>): Promise<T> {
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (count >= ATTEMPTS || error instanceof Final) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** count));
  }
}

/** An answer, whose body is given up when nothing comes of it for a while. */
async function ask(url: string, signal: AbortSignal, range?: string): Promise<{ response: Response; chunks: Chunks }> {
  signal.throwIfAborted();
  const silence = new AbortController();
  const patiently = async <T>(coming: Promise<T>): Promise<T> => {
    const timer = setTimeout(() => silence.abort(new Error(`nothing came for ${SILENCE / 1000} s`)), SILENCE);
    try {
      return await coming;
    } catch (error) {
      throw new (signal.aborted ? Final : Error)(`cannot fetch ${url}: ${inWords(error)}`);
    } finally {
      clearTimeout(timer);
    }
  };
  const both = AbortSignal.any([signal, silence.signal]);
  const response = await patiently(fetch(url, { headers: range === undefined ? {} : { range }, signal: both }));
  if (!response.ok && response.status !== 416) {
    await response.body?.cancel();
    throw new (response.status < 500 ? Final : Error)(`cannot fetch ${url}: status ${response.status}`);
  }
  return { response, chunks: read(response.body ?? new Blob().stream(), patiently) };
}

/** All of a range. */
async function gather(chunks: Chunks): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(RANGE);
  let length = 0;
  for await (const chunk of chunks) {
    if (length + chunk.length > RANGE) throw new Final('a range has more bytes than were asked for');
    bytes.set(chunk, length);
    length += chunk.length;
  }
  return bytes.subarray(0, length);
}

/** Of gzip, if it is gzip. */
async function* unpacked(chunks: Chunks): Chunks {
  const first = await chunks.next();
  if (first.done) return;
  const rest = new ReadableStream<BufferSource>({
    start: (controller) => controller.enqueue(first.value as Uint8Array<ArrayBuffer>),
    async pull(controller) {
      const next = await chunks.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value as Uint8Array<ArrayBuffer>);
    },
    async cancel() {
      await chunks.return();
    },
  });
  const packed = first.value[0] === 0x1f && first.value[1] === 0x8b;
  yield* read(packed ? rest.pipeThrough(new DecompressionStream('gzip')) : (rest as ReadableStream<Uint8Array>));
}

/** What comes, piece by piece. Whoever takes no more ends it. */
async function* read(
  stream: ReadableStream<Uint8Array>,
  wait: <T>(coming: Promise<T>) => Promise<T> = (coming) => coming,
): Chunks {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await wait(reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
