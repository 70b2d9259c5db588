// One block: what the main node claims about it beside what was computed here, and what happened in it.

import { askMainNode, hex, type Batch, type Block, type Fields, type Log, type Transaction } from "../chain";
import type { Mismatch } from "../contract";
import { fill, h } from "../dom";
import { amount, bytesOf, coins, count, short, tame, whole } from "../format";
import { badge, brief, difference, exact, facts, full, moment, notice, onL1, reason, type Trust } from "../parts";
import type { Session } from "../session";
import { mismatchPanel } from "./mismatch";
import type { View } from "./view";

/** Transactions that are shown at once. */
const PAGE = 50;
/** Hexadecimal digits of a function's selector and of an ABI word. */
const SELECTOR = 8;
const WORD = 64;
/** Bytes of call data or of a log that are shown. */
const LONGEST = 4096;

const CLAIMS: [field: string, name: string][] = [
  ["hash", "Block hash"],
  ["parentHash", "Parent hash"],
  ["stateRoot", "State root"],
  ["transactionsRoot", "Transactions root"],
  ["receiptsRoot", "Receipts root"],
  ["logsBloom", "Logs bloom"],
  ["blockInfoRoot", "Block info root"],
  ["globalExitRoot", "Global exit root"],
  ["miner", "Coinbase"],
  ["gasUsed", "Gas used"],
  ["gasLimit", "Gas limit"],
  ["timestamp", "Timestamp"],
];
const NUMBERS = new Set(["gasUsed", "gasLimit", "timestamp"]);

export function blockView(session: Session, which: number | string, transaction: number | null): View {
  const number = typeof which === "number" ? whole(which) : which;
  const title = h("h1", { tabindex: "-1" }, typeof which === "number" ? `Block ${number}` : "Block");
  const under = h("p", { class: "as-of" }, "Reading…");
  const body = h("div");
  const element = h(
    "article",
    { class: "block", "aria-busy": "true" },
    h("header", { class: "view-head" }, h("p", { class: "eyebrow" }, "Block"), title, under),
    body,
  );
  let closed = false;
  let settled = false;
  let asking = false;
  let about = "";

  async function read(): Promise<void> {
    const halted = session.halted;
    const state = `${JSON.stringify(halted)} ${settled}`;
    if (asking || (settled && state === about)) return;
    asking = true;
    try {
      const block = await session.chain.block(which);
      const batch = block && (await session.chain.batchOf(block.number));
      const proved = block && (await session.chain.proved());
      if (closed) return;
      if (block) {
        settled = true;
        about = `${JSON.stringify(halted)} ${settled}`;
        show(block, batch, proved !== null && proved.block >= block.number);
      } else if (about !== state) {
        about = state;
        showMissing();
      }
    } catch (error) {
      if (closed) return;
      if (!settled) fill(under, badge("unknown", "Not available"));
      fill(body, notice("word", "The replica has no answer.", reason(error)));
    } finally {
      asking = false;
      element.setAttribute("aria-busy", "false");
    }
  }

  function show(block: Block, batch: Batch | null, final: boolean): void {
    const trust: Trust = final ? "final" : session.status.mode === "light" ? "proved" : "verified";
    const mismatch = session.halted?.block === block.number ? session.halted : null;
    fill(title, `Block ${whole(block.number)}`);
    fill(under, badge(trust), " ", moment(block.timestamp));
    fill(
      body,
      neighbours(block.number, session.status.verified?.number ?? block.number),
      mismatch &&
        notice(
          "wrong",
          onL1(mismatch) ? "L1 has another state here." : "The main node is wrong about what follows this block.",
          mismatchPanel(session, mismatch, false),
        ),
      facts(
        [
          "Batch",
          batch
            ? whole(batch.number) + (batch.content ? (batch.content.closed ? ", closed" : ", open") : "")
            : "not known",
        ],
        ["Fork", batch ? String(batch.forkId) : "not known"],
        ["Transactions", whole(block.transactions.length)],
        ["Gas used", whole(block.gasUsed)],
        ["Coinbase", brief(block.coinbase, `#/address/${block.coinbase}`, 6)],
      ),
      claims(session, block),
      transactions(session, block, transaction),
    );
    if (transaction !== null) {
      const chosen = document.getElementById(`transaction-${transaction}`);
      chosen?.scrollIntoView({ block: "start" });
      chosen?.querySelector("summary")?.focus({ preventScroll: true });
    }
  }

  function showMissing(): void {
    const { halted, status } = session;
    if (halted && halted.block === which && !onL1(halted)) {
      fill(under, badge("wrong", "Refused"));
      fill(body, mismatchPanel(session, halted, false), refused(session, which, halted));
      return;
    }
    const verified = status.verified?.number ?? -1;
    const later = typeof which === "number" && which > verified;
    fill(under, badge("unknown", later ? "Not verified" : "Not found"));
    fill(
      body,
      h(
        "p",
        { class: "empty" },
        later
          ? `This device has verified the chain up to block ${whole(Math.max(0, verified))}. What it has not verified it does not show. This page fills in as soon as the block is verified.`
          : "The verified chain has no such block.",
      ),
    );
  }

  void read();
  return {
    title: typeof which === "number" ? `Block ${number}` : "Block",
    element,
    update: () => void read(),
    close: () => (closed = true),
  };
}

function neighbours(number: number, last: number): HTMLElement {
  return h(
    "nav",
    { class: "neighbours", "aria-label": "Neighbouring blocks" },
    number > 0
      ? h("a", { class: "button", href: `#/block/${number - 1}`, rel: "prev" }, `← Block ${whole(number - 1)}`)
      : h("span"),
    number < last
      ? h("a", { class: "button", href: `#/block/${number + 1}`, rel: "next" }, `Block ${whole(number + 1)} →`)
      : h("span"),
  );
}

/** What was computed, which each claim was equal to; the main node is asked once more when the reader wants it. */
function claims(session: Session, block: Block): HTMLElement {
  const light = session.status.mode === "light";
  const summary = h(
    "p",
    { class: "claims-summary", role: "status" },
    light
      ? "Each value is part of what was proved."
      : "When this block was verified, each claim was equal to what executing it here gave. Otherwise it would have been refused.",
  );
  const rows = h("tbody");
  const compared = CLAIMS.filter(([field]) => typeof block.fields[field] === "string");
  const draw = (claim: (field: string, computed: string) => string | null) => {
    const drawn = compared.map(([field, name]) => {
      const computed = shown(field, block.fields[field]);
      return row(name, claim(field, computed), computed);
    });
    fill(rows, ...drawn);
  };
  // What is verified is what was claimed.
  draw((_, computed) => computed);
  const again = h("button", { type: "button" }, "Ask the main node again");
  again.addEventListener("click", async () => {
    again.disabled = true;
    fill(summary, "Asking the main node…");
    try {
      const said = await claimedBy(session, block.number);
      draw((field) => (isSaid(said, field) ? shown(field, said[field]) : null));
      const asked = compared.filter(([field]) => isSaid(said, field));
      const wrong = asked.filter(([field]) => shown(field, said?.[field]) !== shown(field, block.fields[field]));
      if (said === null) fill(summary, "The main node does not have this block any more.");
      else if (asked.length === 0) fill(summary, "The main node says nothing of this block.");
      else if (wrong.length === 0)
        fill(
          summary,
          asked.length === compared.length ? badge("verified", "Equal") : badge("unknown", "Not all said"),
          ` Asked just now, the main node claims what was computed here: ${whole(asked.length)} of ${count(compared.length, "value")}.`,
        );
      else
        fill(
          summary,
          badge("wrong", "Different"),
          ` Asked just now, the main node does not claim what was computed here: ${whole(wrong.length)} of ${count(asked.length, "value")} differ.`,
        );
    } catch (error) {
      fill(summary, `The main node has no answer. ${reason(error)}`);
    } finally {
      again.disabled = false;
    }
  });
  return h(
    "section",
    { "aria-labelledby": "claims-title" },
    h("h2", { id: "claims-title" }, "Claimed and computed"),
    summary,
    h(
      "table",
      { class: "claims" },
      h(
        "caption",
        { class: "visually-hidden" },
        "Each value of the block: as computed here, and as the main node claims",
      ),
      h(
        "thead",
        {},
        h("tr", {}, ...["Value", "Computed here", "Main node"].map((name) => h("th", { scope: "col" }, name))),
      ),
      rows,
    ),
    session.config.mainNodes.length > 0 && h("div", { class: "actions" }, again),
  );
}

/** The block as the main node tells it now. */
async function claimedBy(session: Session, number: number): Promise<Fields | null> {
  const node = session.config.mainNodes[0];
  if (!node) throw new Error("no main node is configured");
  const found = await askMainNode(node, "zkevm_getFullBlockByNumber", [hex(number), false]);
  if (typeof found === "object" && !Array.isArray(found)) return found as Fields | null;
  throw new Error("what it says is no block");
}

const isSaid = (said: Fields | null, field: string): said is Fields => (said?.[field] ?? null) !== null;

/** `claimed` is null where the main node leaves it out. */
function row(name: string, claimed: string | null, computed: string): HTMLElement {
  const same = claimed === computed;
  const long = computed.length > 200;
  const value = long
    ? h("code", {}, `${count(bytesOf(computed), "byte")}: ${computed.slice(0, 18)}…${computed.slice(-8)}`)
    : full(computed);
  if (claimed === null || same) {
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", { "data-name": "Computed here" }, value),
      h("td", { "data-name": "Main node" }, same ? badge("verified", "Equal") : badge("unknown", "Not said")),
    );
  }
  return h(
    "tr",
    { class: "wrong" },
    h("th", { scope: "row" }, name),
    h(
      "td",
      { "data-name": "Computed here", colspan: "2" },
      difference({ by: "mainNode", claim: name.toLowerCase(), expected: claimed, computed }),
    ),
  );
}

function shown(field: string, value: unknown): string {
  const text = String(value);
  return NUMBERS.has(field) && /^0x[0-9a-f]{1,64}$/i.test(text) ? BigInt(text).toString() : text.toLowerCase();
}

/** A block that was refused, as the main node tells it: nothing of it is verified. */
function refused(session: Session, number: number, halted: Mismatch): HTMLElement {
  const place = h("div", {}, h("p", { class: "asking" }, "Asking the main node…"));
  void claimedBy(session, number)
    .then((found) => {
      const said = found ?? {};
      const rows = CLAIMS.filter(([field]) => typeof said[field] === "string").map(([field, name]) => {
        const text = shown(field, said[field]);
        const accused = name.toLowerCase() === halted.claim;
        return h(
          "tr",
          { class: accused && "wrong" },
          h("th", { scope: "row" }, name),
          h(
            "td",
            { "data-name": "Main node" },
            text.length > 200 ? h("code", {}, `${text.slice(0, 18)}…${text.slice(-8)}`) : full(text),
          ),
          h("td", { "data-name": "Trust" }, accused ? badge("wrong") : badge("word")),
        );
      });
      fill(
        place,
        rows.length === 0
          ? h("p", { class: "empty" }, "The main node does not have this block any more.")
          : h(
              "table",
              { class: "claims" },
              h("caption", { class: "visually-hidden" }, "What the main node claims about the refused block"),
              h(
                "thead",
                {},
                h("tr", {}, ...["Value", "Main node", "Trust"].map((name) => h("th", { scope: "col" }, name))),
              ),
              h("tbody", {}, ...rows),
            ),
      );
    })
    .catch((error: unknown) =>
      fill(place, h("p", { class: "empty" }, `The main node has no answer. ${reason(error)}`)),
    );
  return h(
    "section",
    { "aria-labelledby": "claims-title" },
    h("h2", { id: "claims-title" }, "What the main node claims about it"),
    h("p", {}, "None of this is part of the verified chain, and no answer on this page uses it."),
    place,
  );
}

function transactions(session: Session, block: Block, chosen: number | null): HTMLElement {
  const list = h("div", { class: "transactions" });
  const more = h("button", { type: "button" });
  let shown = 0;
  const show = (upTo: number) => {
    list.append(
      ...block.transactions.slice(shown, upTo).map((entry) => transactionItem(session, entry, entry.index === chosen)),
    );
    shown = Math.min(upTo, block.transactions.length);
    more.hidden = shown >= block.transactions.length;
    more.textContent = `Show ${whole(Math.min(PAGE, block.transactions.length - shown))} more`;
  };
  show(Math.max(PAGE, (chosen ?? 0) + 1));
  more.addEventListener("click", () => show(shown + PAGE));
  return h(
    "section",
    { "aria-labelledby": "transactions-title" },
    h("h2", { id: "transactions-title" }, "Transactions"),
    block.transactions.length === 0 ? h("p", { class: "empty" }, "This block has none.") : list,
    more,
  );
}

function transactionItem(session: Session, entry: Transaction, open: boolean): HTMLElement {
  const coin = tame(session.config.currency, 12);
  const party = (address: string) => h("code", { class: "brief" }, short(address));
  return h(
    "details",
    { id: `transaction-${entry.index}`, open },
    h(
      "summary",
      {},
      h("span", { class: "index" }, whole(entry.index)),
      h(
        "span",
        { class: "parties" },
        party(entry.from),
        entry.to ? " to " : " creates a contract",
        entry.to && party(entry.to),
      ),
      h("span", { class: "value" }, coins(entry.value, coin)),
      badge(entry.succeeded ? "verified" : "unknown", entry.succeeded ? "Succeeded" : "Failed"),
    ),
    facts(
      ["Hash", exact(entry.hash, "transaction hash", `#/tx/${entry.hash}`)],
      ["From", exact(entry.from, "sender", `#/address/${entry.from}`)],
      entry.to ? ["To", exact(entry.to, "receiver", `#/address/${entry.to}`)] : null,
      entry.created ? ["Created", exact(entry.created, "contract", `#/address/${entry.created}`)] : null,
      ["Value", coins(entry.value, coin)],
      ["Nonce", whole(entry.nonce)],
      ["Gas", `${whole(entry.gasUsed)} of ${whole(entry.gas)} used, ${amount(entry.gasPrice, 9)} gwei each`],
      ["Call data", data(entry.input, entry.to ? SELECTOR : 0)],
    ),
    h("h3", {}, count(entry.logs.length, "log")),
    entry.logs.length > 0 &&
      h("ol", { class: "logs" }, ...entry.logs.map((log) => h("li", { value: log.index }, logItem(log)))),
  );
}

const TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const APPROVAL = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925";

function logItem(log: Log): HTMLElement {
  const name =
    log.topics.length === 3 && log.data.length === 66
      ? { [TRANSFER]: "Transfer", [APPROVAL]: "Approval" }[log.topics[0] ?? ""]
      : undefined;
  const party = (topic: string | undefined) => `0x${(topic ?? "").slice(-40)}`;
  return facts(
    ["Contract", exact(log.address, "contract", `#/address/${log.address}`)],
    name
      ? [
          "Event",
          h(
            "span",
            {},
            `${name}, if the contract keeps to ERC-20: ${whole(BigInt(log.data))} units from `,
            brief(party(log.topics[1])),
            " to ",
            brief(party(log.topics[2])),
          ),
        ]
      : null,
    [
      "Topics",
      h("span", { class: "stack" }, ...log.topics.map((topic) => full(topic)), log.topics.length === 0 ? "none" : ""),
    ],
    ["Data", data(log.data, 0)],
  );
}

/** Bytes as the ABI has them: a head, and words behind it. */
function data(hexText: string, head: number): HTMLElement {
  const bytes = bytesOf(hexText);
  if (bytes === 0) return h("span", {}, "none");
  const cut = hexText.slice(0, 2 + 2 * LONGEST);
  return h(
    "span",
    { class: "stack" },
    h("span", {}, count(bytes, "byte")),
    full(cut.length < hexText.length ? `${cut}…` : cut, WORD, head),
  );
}
