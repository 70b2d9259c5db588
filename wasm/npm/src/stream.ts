import { inWords } from './errors.js';
import { readFile } from './load.js';

/** Bytes that are asked for at once. */
const RANGE = 4 << 20;

/** Times that a range is asked for again before the stream is given up. */
const ATTEMPTS = 5;

/** Pieces of a stream file, in order. Whoever takes them decides when the next is fetched. */
export async function* pieces(source: string | Uint8Array): AsyncGenerator<Uint8Array> {
  if (typeof source === 'string') {
    if (source.startsWith('file:')) yield* unpacked(new Blob([await readFile(source)]).stream());
    else if (/\.gz($|[?#])/.test(source)) yield* unpacked(await body(await ask(source)));
    else yield* ranges(source);
  } else {
    yield* unpacked(new Blob([source as Uint8Array<ArrayBuffer>]).stream());
  }
}

/** By ranges, where the server has them: a failure costs one range. */
async function* ranges(url: string): AsyncGenerator<Uint8Array> {
  for (let at = 0; ; ) {
    const response = await ask(url, `bytes=${at}-${at + RANGE - 1}`);
    if (response.status === 416) return;
    if (response.status !== 206) {
      if (at > 0) throw new Error(`${url} does not serve ranges any more`);
      yield* read(await body(response));
      return;
    }
    const bytes = new Uint8Array(await response.arrayBuffer());
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    if (range && Number(range[1]) !== at) throw new Error(`${url} serves another range than it was asked for`);
    if (bytes.length === 0) return;
    at += bytes.length;
    yield bytes;
    const total = Number(range?.[2]);
    if (at >= total || (Number.isNaN(total) && bytes.length < RANGE)) return;
  }
}

async function ask(url: string, range?: string): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    let reason;
    try {
      const response = await fetch(url, range === undefined ? {} : { headers: { range } });
      if (response.ok || response.status === 416) return response;
      reason = `status ${response.status}`;
      if (response.status < 500) attempt = ATTEMPTS;
    } catch (error) {
      reason = inWords(error);
    }
    if (attempt >= ATTEMPTS) throw new Error(`cannot fetch ${url}: ${reason}`);
    await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
  }
}

async function body(response: Response): Promise<ReadableStream<Uint8Array>> {
  return response.body ?? new Blob([await response.arrayBuffer()]).stream();
}

/** Of gzip, if it is gzip. */
async function* unpacked(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = read(stream);
  const first = await chunks.next();
  if (first.done) return;
  const rest = new ReadableStream<BufferSource>({
    start: (controller) => controller.enqueue(first.value as Uint8Array<ArrayBuffer>),
    async pull(controller) {
      const next = await chunks.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value as Uint8Array<ArrayBuffer>);
    },
  });
  const packed = first.value[0] === 0x1f && first.value[1] === 0x8b;
  yield* read(packed ? rest.pipeThrough(new DecompressionStream('gzip')) : (rest as ReadableStream<Uint8Array>));
}

async function* read(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
