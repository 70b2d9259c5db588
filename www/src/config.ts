// Which chain, by whose word: from the address bar, else from the config.json beside the page, else nobody has said.

/** What the page is told. `chain` and `genesis` are the files themselves or where they are. */
export interface Config {
  /** None: the stream has all there is. */
  mainNodes: string[];
  chain: object | string;
  genesis: object | string;
  stream: string | null;
  /** What the chain's coin is called. */
  currency: string;
}

/** Why a configuration is of no use, in words for its reader. */
export class ConfigError extends Error {}

const STORE = "zk-replica-chain";
const LAST = "zk-replica.last";
/** Where chosen files are kept. Nothing is served there. */
const KEPT = "kept/";

export async function findConfig(): Promise<Config | null> {
  const query = new URLSearchParams(location.search);
  if (query.has("mainNode") || query.has("stream")) return fromQuery(query);
  const served = await json("config.json").catch(() => null);
  return isEmpty(served) ? null : fromFile(served);
}

const isEmpty = (value: unknown): boolean => value === null || JSON.stringify(value) === "{}";

function fromQuery(query: URLSearchParams): Config {
  const get = (name: string) => query.get(name)?.trim() || null;
  const chain = get("chain");
  const genesis = get("genesis");
  if (!chain || !genesis) throw new ConfigError("The address bar names no chain file or no genesis file.");
  return {
    mainNodes: query.getAll("mainNode").map(mainNode),
    chain: file(chain, "chain"),
    genesis: file(genesis, "genesis"),
    stream: get("stream") && file(get("stream") ?? "", "stream"),
    currency: get("currency") ?? "ETH",
  };
}

function fromFile(found: unknown): Config {
  const { mainNode: nodes, chain, genesis, stream, currency } = (found ?? {}) as Record<string, unknown>;
  const named = (Array.isArray(nodes) ? nodes : [nodes]).filter((node) => typeof node === "string");
  const part = (value: unknown, what: string) => {
    if (typeof value === "string") return file(value, what);
    if (typeof value === "object" && value !== null) return value;
    throw new ConfigError(`config.json beside this page has no ${what}.`);
  };
  if (named.length === 0 && typeof stream !== "string")
    throw new ConfigError("config.json beside this page has no mainNode.");
  return {
    mainNodes: named.map(mainNode),
    chain: part(chain, "chain"),
    genesis: part(genesis, "genesis"),
    stream: typeof stream === "string" ? file(stream, "stream") : null,
    currency: typeof currency === "string" ? currency : "ETH",
  };
}

function mainNode(text: string): string {
  return url(text, "The main node's address");
}

function file(text: string, what: string): string {
  return url(text, `The address of the ${what} file`);
}

function url(text: string, what: string): string {
  const found = URL.canParse(text, document.baseURI) ? new URL(text, document.baseURI) : null;
  if (found && /^https?:$/.test(found.protocol)) return found.href;
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
    await store?.delete(target);
    return null;
  }
  if (answer?.ok) {
    await store?.put(target, answer.clone());
    return answer.json();
  }
  const last = await store?.match(target);
  if (last) return last.json();
  throw new Error(answer ? `the server answers with status ${answer.status}` : "there is no answer");
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
