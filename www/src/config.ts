// Which chain, by whose word: from the address bar, else from the config.json beside the page, else nobody has said.

import type { Checkpoint, L1Options } from "./contract";

/** What the page is told. `chain` and `genesis` are the files themselves or where they are. */
export interface Config {
  /** None: the stream has all there is. */
  mainNodes: string[];
  chain: object | string;
  /** Null: the checkpoint stands in its place. */
  genesis: object | string | null;
  /** The block that the chain is believed up to: in light mode, or with a snapshot. */
  checkpoint: Checkpoint | null;
  /** Where the state after that block is. Null: light mode, if there is a checkpoint. */
  snapshot: string | null;
  stream: string | null;
  /** Null: L1 is not asked. */
  l1: L1Options | null;
  /** What the chain's coin is called. */
  currency: string;
}

export interface Found {
  config: Config;
  /** Whoever made the address chose it, and nobody here has confirmed that. Not to be started before. */
  byLink: boolean;
  /** What whoever serves the page chose. */
  own: Config | null;
}

/** Why a configuration is of no use, in words for its reader. */
export class ConfigError extends Error {}

const STORE = "zk-replica-chain";
const LAST = "zk-replica.last";
const CONFIRMED = "zk-replica.confirmed";
/** Configurations that are remembered as confirmed. */
const REMEMBERED = 20;
/** Where chosen files are kept. Nothing is served there. */
const KEPT = "kept/";

export async function findConfig(): Promise<Found | null> {
  const query = new URLSearchParams(location.search);
  const named = query.has("mainNode") || query.has("stream") ? fromQuery(query) : null;
  const served = await json("config.json").catch(() => null);
  // Of no use: then it is no reason to let a link pass.
  const own = isEmpty(served) ? null : attempt(() => fromFile(served), named !== null);
  if (!named) return own && { config: own, byLink: false, own };
  return { config: named, byLink: key(named) !== (own && key(own)) && !confirmed().includes(key(named)), own };
}

function attempt<T>(make: () => T, forgive: boolean): T | null {
  try {
    return make();
  } catch (error) {
    if (forgive) return null;
    throw error;
  }
}

/** Equal for configurations that say the same. */
const key = ({ mainNodes, chain, genesis, checkpoint, snapshot, stream, currency, l1 }: Config): string =>
  // Those with neither L1 nor a snapshot are remembered as they always were.
  JSON.stringify([mainNodes, chain, genesis, checkpoint, stream, currency, ...(l1 || snapshot ? [l1, snapshot] : [])]);

/** What the person at this device said yes to. */
function confirmed(): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(CONFIRMED) ?? "[]");
    return Array.isArray(found) ? found.filter((entry) => typeof entry === "string") : [];
  } catch {
    return [];
  }
}

/** The person at this device wants this one: it is not asked about again. */
export function confirm(config: Config): void {
  const others = confirmed().filter((entry) => entry !== key(config));
  try {
    localStorage.setItem(CONFIRMED, JSON.stringify([key(config), ...others].slice(0, REMEMBERED)));
  } catch {
    // Then it is asked again.
  }
}

const isEmpty = (value: unknown): boolean => value === null || JSON.stringify(value) === "{}";

/** What an address bar says. */
export function fromQuery(query: URLSearchParams): Config {
  const get = (name: string) => query.get(name)?.trim() || null;
  const [chain, genesis, stream] = [get("chain"), get("genesis"), get("stream")];
  const [light, snapshot] = [get("checkpoint"), get("snapshot")];
  if (!chain || !(genesis || light)) throw new ConfigError("The address bar names no chain file or no genesis file.");
  return whole({
    mainNodes: query.getAll("mainNode").map(mainNode),
    chain: file(chain, "chain"),
    genesis: genesis && file(genesis, "genesis"),
    checkpoint: light ? checkpoint(light) : null,
    snapshot: snapshot && file(snapshot, "snapshot"),
    stream: stream && file(stream, "stream"),
    l1: query.has("l1")
      ? { url: query.getAll("l1").map(l1Node), ...rollup(get("rollup") ?? ""), block: block(get("l1Block")) }
      : null,
    currency: get("currency") ?? "ETH",
  });
}

function fromFile(found: unknown): Config {
  const {
    mainNode: nodes,
    chain,
    genesis,
    checkpoint: light,
    snapshot,
    stream,
    l1,
    currency,
  } = (found ?? {}) as Record<string, unknown>;
  const named = (Array.isArray(nodes) ? nodes : [nodes]).filter((node) => typeof node === "string");
  const part = (value: unknown, what: string) => {
    if (typeof value === "string") return file(value, what);
    if (typeof value === "object" && value !== null) return value;
    throw new ConfigError(`config.json beside this page has no ${what}.`);
  };
  if (named.length === 0 && typeof stream !== "string")
    throw new ConfigError("config.json beside this page has no mainNode.");
  return whole({
    mainNodes: named.map(mainNode),
    chain: part(chain, "chain"),
    genesis: light && !genesis ? null : part(genesis, "genesis"),
    checkpoint: light ? trusted(light as Partial<Checkpoint>) : null,
    snapshot: typeof snapshot === "string" ? file(snapshot, "snapshot") : null,
    stream: typeof stream === "string" ? file(stream, "stream") : null,
    l1: l1 ? onL1(l1 as Record<string, unknown>) : null,
    currency: typeof currency === "string" ? currency : "ETH",
  });
}

/** Light mode begins with the checkpoint alone, and lives on what a main node serves. */
function whole(config: Config): Config {
  if (config.snapshot && !config.checkpoint)
    throw new ConfigError("A snapshot is of a block that you trust: name it, as the checkpoint.");
  if (config.snapshot && config.genesis)
    throw new ConfigError("With a snapshot, nothing before it is executed: name no genesis.");
  if (!config.checkpoint || config.snapshot) return config;
  if (config.genesis || config.stream)
    throw new ConfigError("With a checkpoint, nothing before it is executed: name no genesis and no recording.");
  if (config.l1) throw new ConfigError("With a checkpoint, nothing is compared with L1: name no L1 node.");
  if (config.mainNodes.length === 0) throw new ConfigError("With a checkpoint, a main node is needed.");
  return config;
}

/** `NUMBER,HASH,STATE ROOT`, as address bar and form have it. */
export function checkpoint(text: string): Checkpoint {
  const [number, hash, stateRoot] = text.split(/[\s,]+/);
  return trusted({ number: /^\d{1,15}$/.test(number ?? "") ? Number(number) : undefined, hash, stateRoot });
}

function trusted({ number, hash, stateRoot }: { [Field in keyof Checkpoint]?: unknown }): Checkpoint {
  const bytes = (value: unknown): value is string => typeof value === "string" && /^0x[0-9a-f]{64}$/i.test(value);
  if (Number.isSafeInteger(number) && Number(number) >= 0 && bytes(hash) && bytes(stateRoot))
    return { number: Number(number), hash: hash.toLowerCase(), stateRoot: stateRoot.toLowerCase() };
  throw new ConfigError("A checkpoint is a block’s number, its hash and its state root, both 0x and 64 digits.");
}

/** `ADDRESS,NUMBER`, as address bar and form have it. */
export function rollup(text: string): Pick<L1Options, "rollupManager" | "rollupId"> {
  const [manager, id] = text.split(/[\s,]+/);
  return entry(manager, /^\d{1,10}$/.test(id ?? "") ? Number(id) : undefined);
}

function entry(manager: unknown, id: unknown): Pick<L1Options, "rollupManager" | "rollupId"> {
  const number = Number.isInteger(id) && Number(id) >= 1 && Number(id) < 2 ** 32;
  if (typeof manager === "string" && /^0x[0-9a-f]{40}$/i.test(manager) && number)
    return { rollupManager: manager.toLowerCase(), rollupId: Number(id) };
  throw new ConfigError("A rollup on L1 is its manager’s address, 0x and 40 digits, and its number there, from 1 on.");
}

function onL1({ url, rollupManager, rollupId, block: at }: Record<string, unknown>): L1Options {
  const urls = [url].flat().filter((one) => typeof one === "string");
  if (urls.length === 0) throw new ConfigError("config.json beside this page names no L1 node in l1.");
  return { url: urls.map(l1Node), ...entry(rollupManager, rollupId), block: block(at) };
}

function block(tag: unknown): L1Options["block"] {
  const found = (["finalized", "safe", "latest"] as const).find((one) => one === (tag ?? "finalized"));
  if (found) return found;
  throw new ConfigError("The block of L1 that is asked for is finalized, safe or latest.");
}

function l1Node(text: string): string {
  return url(text, "The L1 node's address");
}

function mainNode(text: string): string {
  return url(text, "The main node's address");
}

function file(text: string, what: string): string {
  return url(text, `The address of the ${what} file`);
}

function url(text: string, what: string): string {
  const found = URL.canParse(text, document.baseURI) ? new URL(text, document.baseURI) : null;
  // With a name and a password before it, the host is not where one looks for it; and nothing is fetched from there.
  if (found && /^https?:$/.test(found.protocol) && !found.username && !found.password) return found.href;
  throw new ConfigError(`${what} is not an http or https address: ${text.slice(0, 200)}`);
}

/** The object itself: what was named by address is fetched, and kept for when there is no network. */
export async function load(part: object | string, what: string): Promise<object> {
  if (typeof part !== "string") return part;
  const found = await json(part).catch((error: unknown) => {
    throw new ConfigError(`The ${what} file cannot be read from ${part}: ${(error as Error).message}.`);
  });
  if (found === null) throw new ConfigError(`There is no ${what} file at ${part}.`);
  if (typeof found === "object") return found;
  throw new ConfigError(`What is at ${part} is not a ${what} file.`);
}

/** Keeps a file that a person chose, and gives an address under which `load` finds it again. */
export async function keep(chosen: File, what: string): Promise<string> {
  const text = await chosen.text();
  try {
    JSON.parse(text);
  } catch {
    throw new ConfigError(`${chosen.name} is not JSON, so it is no ${what} file.`);
  }
  const store = await kept();
  if (!store) throw new ConfigError("This browser keeps no files for this page: name the file by its address instead.");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const name = [...digest.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const address = `${KEPT}${what}-${name}.json`;
  await store.put(new URL(address, document.baseURI), new Response(text));
  return address;
}

/** The newest answer there is: the network's, or the last one that was had. Null: there is no such file. */
async function json(address: string): Promise<unknown> {
  const target = new URL(address, document.baseURI);
  const store = await kept();
  const chosen = target.href.startsWith(new URL(KEPT, document.baseURI).href);
  const answer = chosen ? null : await fetch(target, { signal: AbortSignal.timeout(60_000) }).catch(() => null);
  if (answer?.status === 404) {
    void store?.delete(target).catch(() => undefined);
    return null;
  }
  let trouble = answer ? `the server answers with status ${answer.status}` : "there is no answer";
  if (answer?.ok) {
    try {
      const text = await answer.text();
      const found: unknown = JSON.parse(text);
      // A full disk is no reason not to use what is here.
      void store?.put(target, new Response(text)).catch(() => undefined);
      return found;
    } catch {
      // A network's own page, or an answer that was cut off: it must not take the place of what was kept.
      trouble = "what the server answers is not JSON";
    }
  }
  const last = await store?.match(target).catch(() => undefined);
  if (last) return last.json();
  throw new Error(trouble);
}

// Browsers have it on https and on this machine only.
const kept = async (): Promise<Cache | null> => ("caches" in window ? caches.open(STORE).catch(() => null) : null);

/** What was last typed into the form, and could be used. */
export function lastUsed(): Record<string, string> {
  try {
    return JSON.parse(localStorage.getItem(LAST) ?? "{}") as Record<string, string>;
  } catch {
    return {};
  }
}

export function rememberUsed(values: Record<string, string>): void {
  try {
    localStorage.setItem(LAST, JSON.stringify(values));
  } catch {
    // Then it is typed again.
  }
}
