// The page: finds out which chain, starts the replica, and shows the view that the address bar names.

import { checkEvidence, createReplica } from "zk-replica";
import { type Config, ConfigError, type Found, confirm, findConfig, load } from "./config";
import type { CheckEvidence, CreateReplica } from "./contract";
import { byId, fill, h, say } from "./dom";
import { whole } from "./format";
import { announce, notice, onL1, reason } from "./parts";
import { Session } from "./session";
import { isAddress } from "./tokens";
import { aboutView } from "./views/about";
import { accountView } from "./views/account";
import { blockView } from "./views/block";
import { confirmView } from "./views/confirm";
import { evidenceView } from "./views/evidence";
import { contradiction, headline, homeView } from "./views/home";
import { setupView } from "./views/setup";
import type { View } from "./views/view";

const create: CreateReplica = createReplica;
const check: CheckEvidence = checkEvidence;

const main = byId("view");
let session: Session | null = null;
let found: Found | null = null;
/** Why there is no session. */
let problem: { kind: "setup" | "start"; words: string } | null = null;
let view: View | null = null;
let turn = 0;

async function start(): Promise<void> {
  search();
  fill(main, h("article", {}, h("h1", { tabindex: "-1" }, "Looking for a chain…")));
  try {
    found = await findConfig();
    if (found && !found.byLink) await run(found.config);
  } catch (error) {
    explain(error);
  }
  byId("search").hidden = byId("state").hidden = !session;
  window.addEventListener("hashchange", () => void navigate(true));
  await navigate(false);
  await registerShell();
}

async function run(config: Config): Promise<void> {
  fill(
    main,
    h(
      "article",
      {},
      h("h1", { tabindex: "-1" }, "Starting the replica…"),
      h("p", { class: "lead" }, `Reading the chain’s specification${config.genesis ? " and its genesis" : ""}.`),
    ),
  );
  const { mainNodes, stream, checkpoint, snapshot, l1 } = config;
  const [chain, genesis] = await Promise.all([
    load(config.chain, "chain"),
    config.genesis && load(config.genesis, "genesis"),
  ]);
  const replica = await create({
    mainNode: mainNodes,
    chain,
    ...(genesis ? { genesis } : {}),
    ...(checkpoint ? { checkpoint } : {}),
    ...(snapshot ? { snapshot } : {}),
    ...(stream ? { stream } : {}),
    ...(l1 ? { l1 } : {}),
  });
  session = new Session(replica, config);
  if (checkpoint && !snapshot)
    say(byId("search-hint"), "Answered with proofs, checked on this device. The main node learns what you look at.");
  session.watch(refresh);
  // Ages grow, and what failed is tried again, also while nothing happens.
  setInterval(refresh, 1000);
  window.addEventListener("pagehide", (event) => {
    if (!event.persisted) void replica.close();
  });
  refresh();
}

function explain(error: unknown): void {
  problem = { kind: error instanceof ConfigError ? "setup" : "start", words: reason(error) };
}

/** The person at this device says yes to what the link names. */
async function accept(config: Config): Promise<void> {
  confirm(config);
  if (found) found.byLink = false;
  await run(config).catch(explain);
  byId("search").hidden = byId("state").hidden = !session;
  await navigate(true);
}

/** Trusted types: the only addresses that may become scripts are this page's own. */
function trustOwnScripts(): void {
  const { trustedTypes } = window as { trustedTypes?: { createPolicy(name: string, rules: object): unknown } };
  trustedTypes?.createPolicy("default", {
    createScriptURL(address: string) {
      if (new URL(address, document.baseURI).origin === location.origin) return address;
      throw new TypeError(`not a script of this page: ${address}`);
    },
  });
}

/** Keeps the page for when there is no network. It works without, too. */
async function registerShell(): Promise<void> {
  await navigator.serviceWorker?.register("sw.js", { type: "module" }).catch(() => undefined);
}

async function navigate(moved: boolean): Promise<void> {
  const mine = (turn += 1);
  const next = await route(location.hash.replace(/^#\/?/, ""));
  if (mine !== turn) return;
  view?.close?.();
  view = next;
  fill(main, next.element);
  document.title = `${next.title} · zk-replica`;
  const place = location.hash.split("/")[1] ?? "";
  for (const link of document.querySelectorAll("header nav a")) {
    const here = (link.getAttribute("href") ?? "").split("/")[1] === place;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!moved) return;
  // A view may have taken the focus to what was asked for.
  if (!main.contains(document.activeElement)) main.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  if (main.contains(document.activeElement) && document.activeElement?.tagName === "H1") window.scrollTo(0, 0);
}

async function route(path: string): Promise<View> {
  const [kind, argument = ""] = path.split("/");
  if (kind === "about") return aboutView(found);
  if (kind === "evidence") return evidenceView(session, check, argument === "now");
  if (kind === "setup" || problem?.kind === "setup") return setupView(problem?.words ?? null);
  if (problem) return failedView(problem.words);
  if (found?.byLink) return confirmView(found, accept);
  if (!session) return setupView(null);
  if (kind === "" || kind === undefined) return homeView(session);
  if (kind === "address" && isAddress(argument)) return accountView(session, argument.toLowerCase());
  if (kind === "block" && /^\d{1,15}$/.test(argument)) return blockView(session, Number(argument), null);
  if ((kind === "tx" || kind === "hash") && /^0x[0-9a-f]{64}$/i.test(argument))
    return byHash(session, argument.toLowerCase());
  return missingView("There is no such place on this page.");
}

/** A hash is of a transaction or of a block. */
async function byHash(session: Session, hash: string): Promise<View> {
  try {
    const block = await session.chain.block(hash);
    if (block) return blockView(session, block.number, null);
    const place = await session.chain.placeOf(hash);
    if (place) return blockView(session, place.block, place.index);
  } catch (error) {
    return missingView(`The replica has no answer. ${reason(error)}`);
  }
  return missingView("The verified chain has no transaction and no block with this hash.");
}

function missingView(words: string): View {
  const element = h(
    "article",
    {},
    h("header", { class: "view-head" }, h("h1", { tabindex: "-1" }, "Not found"), h("p", { class: "lead" }, words)),
  );
  return { title: "Not found", element };
}

function failedView(words: string): View {
  const again = h("button", { type: "button", class: "primary", click: () => location.reload() }, "Try again");
  const element = h(
    "article",
    {},
    h("header", { class: "view-head" }, h("h1", { tabindex: "-1" }, "The replica does not start.")),
    notice("word", "What it says", words),
    h("div", { class: "actions" }, again, h("a", { class: "button", href: "#/setup" }, "Set up another chain")),
  );
  return { title: "Not started", element };
}

let phase = "";

/** The line at the top of every view, and what a screen reader is told when it changes its kind. */
function refresh(): void {
  if (!session) return;
  const { status, offline, endKnown } = session;
  const trouble = status.unsound ? "unsound" : "trouble";
  const now = session.halted ? "wrong" : offline ? "offline" : status.trouble ? trouble : session.phase;
  const place = byId("state");
  place.dataset.state = now;
  const block = `block ${whole(status.verified?.number ?? 0)}`;
  const done = Math.floor((100 * (status.verified?.number ?? 0)) / Math.max(1, status.highest ?? 1));
  const words: Record<string, string> = {
    wrong: session.halted && onL1(session.halted) ? "L1 disagrees" : "Main node is wrong",
    offline: `Offline, ${block}`,
    unsound: contradiction(session).short,
    trouble: `Not connected, ${block}`,
    starting: "Preparing",
    syncing: endKnown ? `Verifying, ${done}%` : `Verifying ${block}`,
    synced: `Verified to ${block}`,
  };
  say(byId("state-words"), words[now] ?? "");
  if (now !== phase) {
    const news: Record<string, string> = {
      synced: "Everything that the main node has is verified.",
      offline: "You are offline. Answers are from the last verified block.",
      unsound: contradiction(session).long,
      trouble: "The main node cannot be followed. Answers are from the last verified block.",
    };
    announce(news[now] ?? headline(session));
    phase = now;
  }
  view?.update?.();
}

function search(): void {
  const form = byId("search") as HTMLFormElement;
  const input = byId("search-input") as HTMLInputElement;
  const problem = byId("search-problem");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    const target = await destination(text).catch((error: unknown) => {
      say(problem, reason(error));
      input.setAttribute("aria-invalid", "true");
      input.focus();
      return null;
    });
    if (target === null) return;
    say(problem, "");
    input.removeAttribute("aria-invalid");
    input.value = "";
    if (location.hash === target) byId("view").querySelector<HTMLElement>("h1")?.focus();
    else location.hash = target;
  });
  // "/" goes to the field, as in many places where one looks things up.
  document.addEventListener("keydown", (event) => {
    const writing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
    if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
}

async function destination(text: string): Promise<string> {
  if (isAddress(text)) {
    const mixed = /[a-f]/.test(text) && /[A-F]/.test(text.slice(2));
    if (mixed && session && (await session.chain.checksummed(text)) !== text) {
      throw new Error("There is a typing error in this address: its capitals do not fit the rest (EIP-55).");
    }
    return `#/address/${text.toLowerCase()}`;
  }
  if (/^0x[0-9a-f]{64}$/i.test(text)) return `#/hash/${text.toLowerCase()}`;
  if (/^[\d,]{1,19}$/.test(text)) return `#/block/${text.replaceAll(",", "")}`;
  throw new Error(
    "An address is 0x and 40 hexadecimal digits, a transaction or block hash 0x and 64, a block a number.",
  );
}

/** The address bar names views: skipping to the content must not change it. */
function skipLink(): void {
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    (main.querySelector<HTMLElement>("h1") ?? main).focus();
  });
}

trustOwnScripts();
skipLink();
void start();
