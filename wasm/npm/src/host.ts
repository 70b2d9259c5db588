import { nameOf, openDisk, type Disk } from './disk.js';
import { inWords } from './errors.js';
import type { Call, EngineOptions, FromEngine, Listener, ModulePlace } from './messages.js';
import { kindOf, modules, openModule, type Engine, type Kind } from './module.js';
import { Post, post, type Answer } from './post.js';
import { pieces, whole } from './stream.js';
import { soon } from './turn.js';
import type { Checkpoint, Judgement, L1Status, Mismatch, ReplicaProblem, Status, VerifiedBlock } from './types.js';

/** Milliseconds between two questions for what is new, at the tip. */
const POLL = 500;
/** Milliseconds between two questions for the main node's height. */
const HEIGHT = 5000;
/** Milliseconds before a main node is tried again: the first, and the most. */
const RETRY: [number, number] = [200, 5000];
/** Milliseconds between two `status` events. */
const TELL = 100;
/** Bytes of a snapshot at most: it takes some ten times as much memory to begin with one. */
const SNAPSHOT = 64 << 20;
/** Milliseconds over which the rate is taken. */
const RATE = 5000;
/** Times that the engine is started again in a minute before the host gives up. */
const RESTARTS = 5;

type Next = 'work' | 'stream' | 'answers' | 'poll' | 'connect';

interface Report {
  next: Next;
  asks: { id: number; body: string }[];
  events: Event[];
}

type Event =
  | { type: 'opened' }
  | ({ type: 'block' } & VerifiedBlock)
  | { type: 'mismatch'; mismatch: Mismatch; evidence: boolean }
  | { type: 'corrected' }
  | { type: 'rolledBack'; from: number; to: number }
  | { type: 'lost'; reason: string; contradiction: boolean }
  | { type: 'streamEnd' }
  | { type: 'tip' }
  | { type: 'storage'; quota: boolean; message: string };

type Reply =
  | { answer: string }
  | { forward: { id: number; requests: string[] } }
  | { fetch: { id: number; body: string } };

type EngineStatus = Pick<Status, 'chainId' | 'chainName' | 'verified' | 'halted' | 'evidence' | 'stored'> & {
  kept: boolean;
  l1: Pick<L1Status, 'proved' | 'finalized'> | null;
};

/** Those of this thread. */
const hosts = new Set<Host>();

/** The engine with everything that it does not have: network, clock, disk. It runs in a worker, a page, or Node. */
export class Host {
  #engine!: Engine;
  #disk: Disk | undefined;
  readonly #options: EngineOptions;
  readonly #sessions = new Map<Listener, number>();
  readonly #module: WebAssembly.Module;
  readonly #gone: (reason: string) => void;
  /** The engine is of an instance of the module that is no more. */
  #stale = false;
  #memory!: WebAssembly.Memory;
  #status!: Status;
  #closed = false;
  /** Counts connections: answers to those before come too late. */
  #connection = 0;
  #mainNode = 0;
  #failures = 0;
  /** Where blocks come from, main nodes by their number: the next one is tried when one fails. */
  #sources: ('snapshot' | 'stream' | number)[] = [];
  #stream: AsyncGenerator<Uint8Array> | undefined;
  /** The engine whose snapshot is under way. */
  #restoring: Engine | undefined;
  /** The stream whose next bytes are under way. */
  #feeding: AsyncGenerator<Uint8Array> | undefined;
  #reading = new AbortController();
  #working = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Until a source is tried again. Work in between does not put it off. */
  #retry: ReturnType<typeof setTimeout> | undefined;
  #tidying: ReturnType<typeof setInterval> | undefined;
  #asked = 0;
  /** When L1 was last asked, whether it is being asked, which of its nodes, and why there was no answer. */
  #l1 = { asked: -Infinity, busy: false, node: 0, trouble: null as string | null };
  #told = 0;
  #telling: ReturnType<typeof setTimeout> | undefined;
  #counted: [number, number][] = [];
  #verified = 0;
  #restarts: number[] = [];
  readonly #early: ReplicaProblem[] = [];
  readonly #kind: Kind;
  readonly #light: boolean;
  /** In light mode: the checkpoint's block is known, or was asked for in vain. */
  #opened!: Promise<void>;
  #open: (() => void) | undefined;
  /** In light mode, where each block and each answer is a matter of several questions. */
  readonly #batches: Post | undefined;

  /**
   * Resolves when the engine is there, and has begun; rejects when the options cannot be used. `gone` is told why, when the
   * engine fails so often that the host closes by itself.
   */
  static async open(options: EngineOptions, gone: (reason: string) => void): Promise<Host> {
    const module = await openModule(kindOf(options), options);
    const host = new Host(options, module, gone);
    const storage = host.#light ? 'memory' : options.storage;
    host.#disk = await openDisk(storage, nameOf(options), (kind, message) => host.#early.push({ kind, message }));
    try {
      host.#begin();
    } catch (error) {
      await host.#disk?.close();
      throw error;
    }
    hosts.add(host);
    host.#tidying = setInterval(() => host.#tidy(), 1000);
    unref(host.#tidying);
    // The height is of use from the beginning, also while a stream is read.
    host.#askHeight();
    void host.#askL1();
    host.#schedule(0);
    return host;
  }

  /** Repeats the check of an evidence file in this thread, without a replica. */
  static async check(file: Uint8Array, place: ModulePlace): Promise<Judgement> {
    await openModule('light', place);
    try {
      return JSON.parse(modules.light.script.checkEvidence(file));
    } catch (error) {
      if (isDefect(error)) Host.#renew('light', inWords(error));
      throw error;
    }
  }

  private constructor(options: EngineOptions, module: WebAssembly.Module, gone: (reason: string) => void) {
    this.#module = module;
    this.#options = options;
    this.#gone = gone;
    this.#kind = kindOf(options);
    this.#light = this.#kind === 'light';
    this.#batches = this.#light ? new Post() : undefined;
  }

  /** Makes the engine; one in memory, if the disk does not let it. */
  #begin() {
    try {
      this.#engine = this.#make();
    } catch (error) {
      const message = inWords(error);
      if (!this.#disk || !message.startsWith('storage: ')) throw error;
      void this.#disk.close().catch(() => {});
      this.#disk = undefined;
      const problem = { kind: message.includes('no room is left') ? 'quota' : 'storage', message } as const;
      this.#early.push(problem);
      this.#problem(problem);
      this.#engine = this.#make();
    }
    this.#stale = false;
    this.#memory = modules[this.#kind].script.initSync({ module: this.#module }).memory;
    this.#open?.();
    this.#opened = !this.#light ? Promise.resolve() : new Promise((resolve) => (this.#open = resolve));
    const highest = this.#status?.highest ?? null;
    this.#status = this.#look({ synced: false, trouble: null, unsound: false, highest });
    this.#find();
  }

  /** Where blocks come from; before there is anything to go on from, the snapshot that is to bring it. */
  #find() {
    const { mainNodes, stream, snapshot } = this.#options;
    const nodes = [...mainNodes.keys()];
    const begun = this.#status.verified !== null;
    // It would be read again up to the last verified block: only if no main node has what comes then.
    const last = begun && nodes.length > 0;
    if (snapshot !== undefined && !begun) this.#sources = ['snapshot'];
    else this.#sources = stream === undefined ? nodes : last ? [...nodes, 'stream'] : ['stream', ...nodes];
  }

  #make(): Engine {
    const secret = crypto.getRandomValues(new Uint8Array(32));
    const { chain, genesis, checkpoint, l1 } = this.#options;
    if (checkpoint !== undefined && this.#light) return modules.light.script.Engine.light(chain, inLine(checkpoint), secret);
    const engine =
      checkpoint === undefined
        ? new modules.full.script.Engine(chain, genesis ?? '', secret, this.#disk)
        : modules.full.script.Engine.behind(chain, inLine(checkpoint), secret, this.#disk);
    if (l1) engine.watchL1(l1.rollupManager, l1.rollupId, l1.block);
    // It knows nothing of L1 yet.
    this.#l1.asked = -Infinity;
    return engine;
  }

  /** A tab is there: it is told everything from now on. */
  attach(listener: Listener) {
    this.#guard(() => this.#sessions.set(listener, this.#engine.openSession()));
    listener.post({ type: 'status', status: this.#status });
    for (const problem of this.#early) listener.post({ type: 'problem', problem });
  }

  detach(listener: Listener) {
    const session = this.#sessions.get(listener);
    this.#sessions.delete(listener);
    if (session !== undefined) this.#guard(() => this.#engine.closeSession(session));
  }

  /** Answers a call of a tab. */
  async answer(listener: Listener, id: number, call: Call) {
    let answer: FromEngine;
    try {
      answer = { type: 'result', id, result: await this.#call(listener, call) };
    } catch (error) {
      answer = { type: 'failure', id, message: inWords(error) };
    }
    // Whoever asked asks the next engine.
    if (this.#closed) return;
    listener.post(answer);
    this.#notify(listener);
  }

  async #call(listener: Listener, call: Call): Promise<unknown> {
    if (this.#closed) throw new Error('the replica is closed');
    switch (call.call) {
      case 'send':
        return this.#send(listener, call.body);
      case 'evidence':
        return this.#try(() => this.#engine.evidence() ?? null);
      case 'panic':
        return this.#try(() => this.#engine.panicForTest());
    }
  }

  async #send(listener: Listener, body: string): Promise<string> {
    for (let opened; opened !== this.#opened; ) {
      opened = this.#opened;
      await opened;
    }
    if (this.#closed) throw new Error('the replica is closed');
    const session = this.#sessions.get(listener) ?? 0;
    const engine = this.#engine;
    const isSame = () => {
      if (engine !== this.#engine) throw new Error('the engine was started again');
    };
    let reply: Reply = JSON.parse(this.#try(() => engine.request(session, body)));
    while ('fetch' in reply) {
      const { id, body } = reply.fetch;
      const found = await this.#fetch(body);
      isSame();
      reply = JSON.parse(this.#try(() => engine.proved(id, found)) ?? '{"answer":""}');
    }
    if ('answer' in reply) return reply.answer;
    const { id, requests } = reply.forward;
    const answers = await Promise.all(requests.map((request) => this.#askAny(request)));
    isSame();
    const answer = this.#try(() => engine.finish(id, answers));
    // A transaction that was sent is news.
    this.#notifyAll();
    return answer ?? '';
  }

  /** Ends it. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    hosts.delete(this);
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    clearTimeout(this.#telling);
    clearInterval(this.#tidying);
    this.#endStream();
    this.#open?.();
    try {
      if (!this.#stale) {
        this.#engine.flush();
        this.#engine.free();
      }
    } catch {
      // What was not written is verified again the next time.
    }
    await this.#disk?.close();
  }

  // Work

  #schedule(wait: number) {
    if (wait > 0) return this.#later(wait, () => void this.#work());
    clearTimeout(this.#timer);
    if (!this.#closed) soon(() => void this.#work());
  }

  /** There is one thing that is waited for. */
  #later(wait: number, callback: () => void) {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(callback, wait);
  }

  async #work() {
    if (this.#working || this.#closed) return;
    this.#working = true;
    const engine = this.#engine;
    let wait: number | undefined;
    try {
      wait = this.#digest(JSON.parse(this.#try(() => engine.work(this.#options.budget))));
    } catch (error) {
      // If it was started again, that goes on by itself.
      if (engine === this.#engine) this.#fail(inWords(error));
    } finally {
      this.#working = false;
    }
    if (wait !== undefined) this.#schedule(wait);
  }

  /** What came of some work; milliseconds until there is more of it, if that is known. */
  #digest(report: Report): number | undefined {
    const blocks: VerifiedBlock[] = [];
    let urgent = false;
    for (const event of report.events) {
      switch (event.type) {
        case 'opened':
          this.#open?.();
          this.#status = this.#look(this.#status);
          this.#find();
          urgent = true;
          break;
        case 'block': {
          const { type, ...block } = event;
          blocks.push(block);
          break;
        }
        case 'mismatch':
          this.#mismatch(event.mismatch);
          urgent = true;
          break;
        case 'lost':
          this.#lost(event.reason, event.contradiction);
          break;
        case 'storage':
          this.#problem({ kind: event.quota ? 'quota' : 'storage', message: event.message });
          break;
        case 'rolledBack':
          this.#tellAll({ type: 'rolledBack', from: event.from, to: event.to });
          break;
        case 'streamEnd':
          this.#sources = this.#sources.filter((source) => source !== 'stream');
          break;
        case 'tip':
          this.#status.synced = true;
          [this.#failures, this.#status.trouble, this.#status.unsound] = [0, null, false];
          urgent = true;
          break;
      }
    }
    if (blocks.length > 0) {
      [this.#failures, this.#verified] = [0, this.#verified + blocks.length];
      [this.#status.trouble, this.#status.unsound] = [null, false];
      this.#tellAll({ type: 'blocks', blocks });
    }
    for (const { id, body } of report.asks) void this.#tell(id, body);
    this.#notifyAll();
    this.#changed(urgent);
    switch (report.next) {
      case 'work':
        return 0;
      case 'stream':
        void this.#feed();
        return undefined;
      case 'answers':
        return undefined;
      case 'poll':
        this.#later(POLL, () => {
          if (this.#guard(() => this.#engine.poll())) void this.#work();
        });
        return undefined;
      case 'connect':
        return this.#connect();
    }
  }

  #connect(): number | undefined {
    if (this.#restoring === this.#engine) return undefined;
    this.#endStream();
    const source = this.#sources[this.#failures % this.#sources.length];
    if (source === undefined) {
      // There is nothing to wait for.
      this.#status.synced = true;
      this.#changed(true);
      return undefined;
    }
    const begin = () => {
      this.#connection += 1;
      if (source === 'snapshot') return void this.#restore();
      if (source === 'stream') return this.#guard(() => this.#beginStream());
      this.#mainNode = source;
      this.#askHeight();
      return this.#guard(() => this.#engine.connect());
    };
    if (this.#failures === 0) return begin() ? 0 : undefined;
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      if (!this.#closed && begin()) void this.#work();
    }, backoff(this.#failures));
    return undefined;
  }

  /** Brings the state to begin with. */
  async #restore() {
    const { snapshot = '' } = this.#options;
    const [engine, parts] = [this.#engine, [] as Uint8Array[]];
    [this.#restoring, this.#reading] = [engine, new AbortController()];
    let done: () => void;
    try {
      let length = 0;
      for await (const part of whole(snapshot, this.#reading.signal)) {
        parts.push(part);
        if ((length += part.length) > SNAPSHOT) throw new Error(`it has more than ${SNAPSHOT} bytes`);
      }
      const file = new Uint8Array(length);
      for (let at = 0; parts.length > 0; ) {
        const part = parts.shift() as Uint8Array;
        file.set(part, at);
        at += part.length;
      }
      done = () => engine.restore(file);
    } catch (error) {
      done = () => engine.stopStream(`the snapshot: ${inWords(error)}`);
    }
    if (engine !== this.#engine || this.#closed) return;
    this.#restoring = undefined;
    this.#guard(done);
    this.#schedule(0);
  }

  #beginStream() {
    this.#engine.beginStream();
    this.#reading = new AbortController();
    this.#stream = pieces(this.#options.stream ?? '', this.#reading.signal, () => this.#engine.streamLength());
  }

  #endStream() {
    this.#reading.abort();
    this.#stream = undefined;
  }

  /** Brings the next bytes of the stream. */
  async #feed() {
    const stream = this.#stream;
    if (stream !== undefined && stream === this.#feeding) return;
    this.#feeding = stream;
    try {
      const piece = await stream?.next();
      if (stream !== this.#stream || this.#closed) return;
      this.#feeding = undefined;
      this.#guard(() => (piece?.done === false ? this.#engine.pushStream(piece.value) : this.#engine.endStream()));
    } catch (error) {
      if (stream !== this.#stream || this.#closed) return;
      this.#feeding = undefined;
      this.#guard(() => this.#engine.stopStream(inWords(error)));
    }
    this.#schedule(0);
  }

  /** Asks the main node what the engine wants to know. */
  async #tell(id: number, body: string) {
    const connection = this.#connection;
    const url = this.#options.mainNodes[this.#mainNode] ?? '';
    let done: () => void;
    try {
      const { status, bytes } = await this.#post(url, body);
      done = () => this.#engine.tell(id, status, bytes);
    } catch (error) {
      done = () => this.#engine.fail(id, `${url}: ${inWords(error)}`);
    }
    if (connection !== this.#connection || this.#closed) return;
    this.#guard(done);
    // More may be under way: what is there is worked on, and what is to be asked is asked.
    this.#schedule(0);
  }

  #post(url: string, body: string): Promise<Answer> {
    return this.#batches?.ask(url, body) ?? post(url, body);
  }

  #mismatch(mismatch: Mismatch) {
    this.#open?.();
    this.#failures += 1;
    this.#status.synced = false;
    const known = this.#status.halted;
    if (known && JSON.stringify(known) === JSON.stringify(mismatch)) return;
    this.#status.halted = mismatch;
    this.#tellAll({ type: 'mismatch', mismatch });
  }

  #lost(reason: string, contradiction: boolean) {
    // Whoever waits hears what cannot be answered.
    this.#open?.();
    this.#failures += 1;
    this.#status.synced = false;
    if (this.#status.trouble === reason) return;
    [this.#status.trouble, this.#status.unsound] = [reason, contradiction];
    this.#problem({ kind: 'source', message: reason });
  }

  #problem(problem: ReplicaProblem) {
    this.#tellAll({ type: 'problem', problem });
  }

  // The main nodes, for questions of callers

  /** The first answer of a main node; `undefined` when there is none. */
  async #askAny(body: string): Promise<string | undefined> {
    const isAnswer = (answer: unknown) => typeof answer === 'object' && answer !== null && ('result' in answer || 'error' in answer);
    for (const url of this.#nodes()) {
      try {
        const text = new TextDecoder().decode((await post(url, body)).bytes);
        if (isAnswer(JSON.parse(text))) return text;
      } catch {
        // The next one may know.
      }
    }
    return undefined;
  }

  /** What proves an answer, from the first that says anything; the engine finds what it is worth. */
  async #fetch(body: string): Promise<Uint8Array | undefined> {
    for (const url of this.#nodes()) {
      try {
        const { status, bytes } = await this.#post(url, body);
        if (status >= 200 && status < 300) return bytes;
      } catch {
        // The next one may answer.
      }
    }
    return undefined;
  }

  /** The one that is followed first. */
  #nodes(): string[] {
    const { mainNodes } = this.#options;
    return [...mainNodes.slice(this.#mainNode), ...mainNodes.slice(0, this.#mainNode)];
  }

  #askHeight() {
    const now = Date.now();
    if (this.#options.mainNodes.length === 0 || now - this.#asked < HEIGHT) return;
    this.#asked = now;
    void this.#askAny('{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}').then((answer) => {
      const height = Number(answer === undefined ? NaN : (JSON.parse(answer) as { result?: unknown }).result);
      if (!Number.isSafeInteger(height) || this.#closed) return;
      this.#status.highest = height;
      this.#guard(() => this.#engine.setHighest(height));
      this.#changed(false);
    });
  }

  /** Asks L1 what is proved there, when it is time. Its trouble is told, and no reason to stop. */
  async #askL1() {
    const [{ l1 }, state, engine, now] = [this.#options, this.#l1, this.#engine, Date.now()];
    if (!l1 || state.busy || now - state.asked < l1.interval) return;
    [state.asked, state.busy] = [now, true];
    const isSame = () => engine === this.#engine && !this.#closed;
    let trouble: string | null = null;
    for (let tried = 0; tried < l1.urls.length; tried += 1) {
      const url = l1.urls[state.node % l1.urls.length] ?? '';
      try {
        let body = this.#try(() => engine.askL1());
        while (body !== undefined) {
          const { status, bytes } = await post(url, body);
          if (!isSame()) break;
          body = this.#try(() => engine.tellL1(status, bytes));
        }
        trouble = null;
        break;
      } catch (error) {
        trouble = `${url}: ${inWords(error)}`;
        state.node += 1;
        if (!isSame()) break;
      }
    }
    state.busy = false;
    if (!isSame()) return;
    if (trouble !== null && trouble !== state.trouble) this.#problem({ kind: 'l1', message: trouble });
    state.trouble = trouble;
    this.#changed(false);
    // What is news is compared.
    if (trouble === null) this.#schedule(0);
  }

  #tidy() {
    this.#askHeight();
    void this.#askL1();
    let again: [string, string][] = [];
    this.#guard(() => (again = JSON.parse(this.#engine.tidy())));
    const engine = this.#engine;
    for (const [hash, body] of again) {
      void this.#askAny(body).then((answer) => {
        if (engine === this.#engine && !this.#closed) this.#guard(() => engine.resent(hash, answer));
      });
    }
    // The rate falls when nothing happens.
    if (this.#status.rate > 0) this.#changed(false);
  }

  // What is told

  #tellAll(message: FromEngine) {
    for (const listener of this.#sessions.keys()) listener.post(message);
  }

  #notifyAll() {
    for (const listener of this.#sessions.keys()) this.#notify(listener);
  }

  #notify(listener: Listener) {
    const session = this.#sessions.get(listener);
    if (session === undefined || this.#closed) return;
    this.#guard(() => {
      const told = this.#engine.notifications(session);
      if (told === undefined) {
        this.#engine.closeSession(session);
        this.#sessions.set(listener, this.#engine.openSession());
        listener.post({ type: 'reset' });
      } else if (told !== '[]') {
        listener.post({ type: 'notifications', messages: JSON.parse(told) });
      }
    });
  }

  /** The status may be another one. */
  #changed(now: boolean) {
    if (this.#closed) return;
    const wait = this.#told + TELL - Date.now();
    if (wait > 0 && !now) {
      this.#telling ??= setTimeout(() => this.#changed(true), wait);
      return;
    }
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.#told = Date.now();
    if (!this.#guard(() => (this.#status = this.#look(this.#status)))) return;
    this.#tellAll({ type: 'status', status: this.#status });
  }

  #look({ synced, trouble, unsound, highest }: Pick<Status, 'synced' | 'trouble' | 'unsound' | 'highest'>): Status {
    const { kept, l1, ...engine }: EngineStatus = JSON.parse(this.#engine.status());
    const verified = engine.verified?.number ?? null;
    return {
      ...engine,
      highest: highest === null ? verified : Math.max(highest, verified ?? 0),
      synced,
      mode: this.#light ? 'light' : 'full',
      checkpoint: this.#options.checkpoint ?? null,
      rate: this.#rate(),
      memory: this.#memory.buffer.byteLength,
      storage: kept ? (this.#disk?.storage ?? 'memory') : 'memory',
      trouble,
      unsound,
      l1: l1 && { ...l1, trouble: this.#l1.trouble },
      restarts: this.#restarts.length,
    };
  }

  #rate(): number {
    const now = Date.now();
    this.#counted.push([now, this.#verified]);
    while (this.#counted.length > 2 && now - (this.#counted[0]?.[0] ?? now) > RATE) this.#counted.shift();
    const [since, before] = this.#counted[0] ?? [now, this.#verified];
    return now > since ? ((this.#verified - before) * 1000) / (now - since) : 0;
  }

  // When the engine fails

  /** Calls the engine; an exception that is not one of its errors is a defect, and it is started again. */
  #try<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (isDefect(error)) {
        this.#restart(inWords(error));
        throw new Error('internal error: the engine was started again');
      }
      throw error;
    }
  }

  /** The same for calls without a result; whether it went well. */
  #guard(call: () => unknown): boolean {
    try {
      this.#try(call);
      return true;
    } catch {
      return false;
    }
  }

  #restart(reason: string) {
    const now = Date.now();
    this.#restarts.push(now);
    if (this.#restarts.filter((at) => now - at < 60_000).length > RESTARTS) {
      this.#fail(`the engine fails again and again: ${reason}`);
    }
    Host.#renew(this.#kind, reason);
  }

  /** Another instance of the module, which is everybody's in this thread. */
  static #renew(kind: Kind, reason: string): void {
    let defect = false;
    do {
      modules[kind].script.__wbg_reset_state();
      defect = false;
      for (const host of [...hosts].filter((host) => host.#kind === kind)) {
        try {
          host.#again(reason);
        } catch (error) {
          // That is one for all; but this host is gone then.
          defect ||= isDefect(error);
          host.#fail(`the engine cannot be started again: ${inWords(error)}`);
        }
      }
    } while (defect);
  }

  #again(reason: string) {
    this.#stale = true;
    this.#connection += 1;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#endStream();
    this.#begin();
    for (const listener of [...this.#sessions.keys()]) {
      this.#sessions.set(listener, this.#engine.openSession());
      listener.post({ type: 'reset' });
    }
    this.#problem({ kind: 'engine', message: `the engine was started again: ${reason}` });
    this.#changed(true);
    this.#schedule(0);
  }

  /** Gives up. */
  #fail(reason: string) {
    if (this.#closed) return;
    void this.close().catch(() => {});
    this.#gone(reason);
  }
}

/** As the engine reads it. */
function inLine({ number, hash, stateRoot }: Checkpoint): string {
  return `${number}:${hash}:${stateRoot}`;
}

/** Doubles, and is shortened at random, so that many replicas do not come back in step. */
function backoff(failures: number): number {
  const [first, most] = RETRY;
  return Math.min(most, first * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

/** In Node a timer keeps the process alive; this one does not. */
function unref(timer: unknown) {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer) (timer as { unref(): void }).unref();
}

/** A panic, or no more stack or memory: no error of the engine, which throws others. */
function isDefect(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
}
