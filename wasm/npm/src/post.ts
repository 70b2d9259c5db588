import { soon } from './turn.js';

/** Milliseconds that an answer may take. */
const PATIENCE = 10_000;
/** Bytes that an answer may have. */
const ANSWER = 25 << 20;
/** Requests in one batch: main nodes limit them. */
const MANY = 64;

/** What a server said. */
export interface Answer {
  status: number;
  bytes: Uint8Array;
}

/** Posts a JSON-RPC body. */
export async function post(url: string, body: string): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(PATIENCE),
  });
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const next = await reader?.read();
    if (!next || next.done) break;
    length += next.value.length;
    if (length > ANSWER) {
      void reader?.cancel();
      throw new Error(`an answer of more than ${ANSWER} bytes`);
    }
    chunks.push(next.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return { status: response.status, bytes };
}

interface Waiting {
  url: string;
  body: string;
  /** How many requests it is. */
  count: number;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

type Message = { id: unknown };

/** Posts the bodies of one turn as one batch: what a wallet waits for is round trips, not bytes. */
export class Post {
  #waiting: Waiting[] = [];

  ask(url: string, body: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked: Message | Message[] = JSON.parse(body);
      const count = Array.isArray(asked) ? asked.length : 1;
      this.#waiting.push({ url, body, count, resolve, reject });
      if (this.#waiting.length === 1) soon(() => this.#send());
    });
  }

  #send() {
    const open = new Map<string, { bodies: Waiting[]; count: number }>();
    for (const one of this.#waiting.splice(0)) {
      let batch = open.get(one.url);
      if (!batch || batch.count + one.count > MANY) {
        batch = { bodies: [], count: 0 };
        open.set(one.url, batch);
        const { bodies } = batch;
        // When all that belongs to it is in it.
        queueMicrotask(() => void together(one.url, bodies));
      }
      batch.bodies.push(one);
      batch.count += one.count;
    }
  }
}

async function together(url: string, bodies: Waiting[]) {
  const [only] = bodies;
  if (only && bodies.length === 1) {
    await post(url, only.body).then(only.resolve, only.reject);
    return;
  }
  try {
    const whole: Message[] = [];
    const parts = bodies.map(({ body, resolve, reject }) => {
      const asked: Message | Message[] = JSON.parse(body);
      const from = whole.length;
      const list = [asked].flat();
      list.forEach((request, index) => whole.push({ ...request, id: from + index }));
      return { from, ids: list.map(({ id }) => id), isBatch: Array.isArray(asked), resolve, reject };
    });
    const { status, bytes } = await post(url, JSON.stringify(whole));
    const said: Message | Message[] = JSON.parse(new TextDecoder().decode(bytes));
    const byId = new Map([said].flat().map((answer) => [answer?.id, answer]));
    for (const { from, ids, isBatch, resolve, reject } of parts) {
      // A server that does not take batches says so in one answer, which is everybody's.
      const of = (index: number) => (Array.isArray(said) ? byId.get(from + index) : said);
      const answers = ids.flatMap((id, index) => {
        const answer = of(index);
        return answer ? [{ ...answer, id }] : [];
      });
      const mine = isBatch ? (Array.isArray(said) ? answers : said) : answers[0];
      if (mine === undefined) reject(new Error('an answer is left out'));
      else resolve({ status, bytes: new TextEncoder().encode(JSON.stringify(mine)) });
    }
  } catch (error) {
    for (const { reject } of bodies) reject(error);
  }
}
