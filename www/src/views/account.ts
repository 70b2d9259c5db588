// What an address has, and how this device knows.

import { askMainNode, hex, type Batch, type Proof, type Token } from "../chain";
import type { Head, L1Status } from "../contract";
import { fill, h, say } from "../dom";
import { count, tame, units, whole } from "../format";
import { announce, badge, brief, difference, exact, full, moment, notice, onL1, reason, type Trust } from "../parts";
import type { Session } from "../session";
import { isAddress, setTokens, tokensOf } from "../tokens";
import type { View } from "./view";

/** How often an account is read again while blocks arrive, in milliseconds. */
const PACE = 1000;
const NO_CODE = "0x";

interface Reading {
  /** The block that it is read behind. */
  head: Pick<Head, "number" | "hash" | "stateRoot" | "timestamp">;
  proof: Proof;
  code: string;
  batch: Batch | null;
  proved: { batch: number; block: number } | null;
  l1: L1Status | null;
}

export function accountView(session: Session, address: string): View {
  const { chain, config } = session;
  let tokens = tokensOf(session.status.chainId);
  let shown: Reading | null = null;
  let busy = false;
  let last = 0;
  let closed = false;
  let waiting: number | null = null;
  /** What is proved on L1 is read, and not the newest. */
  let final = false;

  const title = h("h1", { tabindex: "-1", class: "address" }, full(address));
  const asOf = h("p", { class: "as-of" });
  const older = h("button", { type: "button", class: "older", "aria-pressed": "false" }, "Show what is proved on L1");
  older.hidden = true;
  older.addEventListener("click", () => {
    final = !final;
    older.setAttribute("aria-pressed", String(final));
    void read();
  });
  const warning = h("div");
  const trouble = h("div");
  const balance = h("p", { class: "balance" }, "…");
  const balanceTrust = h("span");
  const nonce = h("span");
  const code = h("span");
  const nonceTrust = h("span");
  const codeTrust = h("span");
  const trail = h("ol", { class: "trail" });
  const tokenRows = h("ul", { class: "tokens" });
  const compared = h("div", { class: "compared" });
  const compare = h("button", { type: "button" }, "Ask the main node too");
  const tokenForm = addTokenForm();

  void chain
    .checksummed(address)
    .then((form) => fill(title, full(form)))
    .catch(() => undefined);

  const element = h(
    "article",
    { class: "account" },
    h("header", { class: "view-head" }, h("p", { class: "eyebrow" }, "Account"), title, asOf, older, warning, trouble),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        {},
        h(
          "section",
          { class: "card", "aria-labelledby": "balance-title" },
          h("div", { class: "card-head" }, h("h2", { id: "balance-title" }, "Balance"), balanceTrust),
          balance,
          h(
            "dl",
            { class: "rows" },
            h("div", {}, h("dt", {}, "Nonce"), h("dd", {}, nonce, nonceTrust)),
            h("div", {}, h("dt", {}, "Code"), h("dd", {}, code, codeTrust)),
          ),
        ),
        h(
          "section",
          { class: "card", "aria-labelledby": "tokens-title" },
          h("div", { class: "card-head" }, h("h2", { id: "tokens-title" }, "Tokens")),
          tokenRows,
          tokenForm,
        ),
        h(
          "section",
          { class: "card quiet", "aria-labelledby": "compare-title" },
          h("h2", { id: "compare-title" }, "What does the main node say?"),
          h(
            "p",
            {},
            session.status.mode === "light"
              ? "What is above was proved, whoever gave the proof. The main node may say something else when it is asked without one."
              : "Nothing above was asked of anybody. If you ask the main node to compare, it learns that you look at this address.",
          ),
          compare,
          compared,
        ),
      ),
      h(
        "section",
        { class: "evidence-trail", "aria-labelledby": "trail-title" },
        h("h2", { id: "trail-title" }, "How this device knows"),
        trail,
      ),
    ),
  );

  function addTokenForm(): HTMLFormElement {
    const input = h("input", {
      id: "token-address",
      name: "token",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "0x…",
      "aria-describedby": "token-problem",
    });
    const problem = h("p", { id: "token-problem", class: "problem", role: "alert" });
    const form = h(
      "form",
      { class: "add" },
      h("label", { for: "token-address" }, "Add a token by the address of its contract"),
      h("div", { class: "field" }, input, h("button", { type: "submit" }, "Add")),
      problem,
    );
    form.addEventListener("submit", async (event: SubmitEvent) => {
      event.preventDefault();
      const contract = input.value.trim().toLowerCase();
      const at = session.status.verified?.number;
      input.removeAttribute("aria-invalid");
      say(problem, "");
      try {
        if (!isAddress(contract)) throw new Error("An address is 0x and 40 hexadecimal digits.");
        if (at === undefined) throw new Error("No block is verified yet.");
        const token = await chain.token(contract, address, at);
        if (!tokens.includes(contract)) tokens = [...tokens, contract];
        setTokens(session.status.chainId, tokens);
        input.value = "";
        announce(`${tame(token.symbol) || "The token"} is added.`);
        await showTokens(at);
      } catch (error) {
        input.setAttribute("aria-invalid", "true");
        say(problem, reason(error));
      }
    });
    return form;
  }

  async function showTokens(at: number): Promise<void> {
    const found = await Promise.all(
      tokens.map((contract) => {
        return chain.token(contract, address, at).catch((error: unknown) => ({ contract, problem: reason(error) }));
      }),
    );
    if (closed || tokenRows.contains(document.activeElement)) return;
    fill(
      tokenRows,
      ...found.map((token) => ("problem" in token ? brokenRow(token.contract, token.problem) : tokenRow(token))),
      tokens.length === 0 && h("li", { class: "empty" }, "None yet. Only tokens that you name are looked up."),
    );
  }

  function tokenRow(token: Token): HTMLElement {
    const symbol = tame(token.symbol, 12) || "unnamed";
    const held = units(token.balance, token.decimals);
    return h(
      "li",
      {},
      h(
        "span",
        { class: "token-amount" },
        held.whole,
        held.fraction && h("span", { class: "fraction" }, `.${held.fraction}`),
        " ",
        h("bdi", { class: "symbol" }, symbol),
      ),
      badge(trust()),
      h("span", { class: "token-from" }, "contract ", brief(token.address, `#/address/${token.address}`, 6)),
      removeButton(token.address, symbol),
    );
  }

  function brokenRow(contract: string, problem: string): HTMLElement {
    return h(
      "li",
      {},
      h("span", { class: "token-amount" }, "no answer"),
      badge("unknown"),
      h("span", { class: "token-from" }, "contract ", brief(contract, `#/address/${contract}`, 6), ` ${problem}`),
      removeButton(contract, "this token"),
    );
  }

  function removeButton(contract: string, symbol: string): HTMLElement {
    const button = h("button", { type: "button", class: "plain", "aria-label": `Remove ${symbol}` }, "Remove");
    button.addEventListener("click", () => {
      tokens = tokens.filter((other) => other !== contract);
      setTokens(session.status.chainId, tokens);
      title.focus({ preventScroll: true });
      if (shown) void showTokens(shown.head.number);
      announce(`${symbol} is removed.`);
    });
    return button;
  }

  function trust(): Trust {
    if (shown?.proved && shown.proved.block >= shown.head.number) return "final";
    return session.status.mode === "light" ? "proved" : "verified";
  }

  async function read(): Promise<void> {
    const { verified, l1 } = session.status;
    const fixed = l1?.finalized ?? null;
    if (!verified || busy || closed) return;
    const wanted = final && fixed !== null && fixed.block < verified.number ? fixed.block : null;
    const same = wanted === null ? shown?.head.hash === verified.hash : shown?.head.number === wanted;
    if (same && shown?.l1?.finalized?.block === fixed?.block) return;
    busy = true;
    last = performance.now();
    try {
      const head = wanted === null ? verified : await chain.summary(wanted);
      if (!head) return;
      const [proof, bytes, batch, proved] = await Promise.all([
        chain.account(address, head.number),
        chain.code(address, head.number),
        chain.batchOf(head.number),
        chain.proved(),
      ]);
      if (closed) return;
      shown = { head, proof, code: bytes, batch, proved, l1 };
      fill(trouble);
      show(shown);
      await showTokens(head.number);
    } catch (error) {
      if (!closed) fill(trouble, notice("word", "The replica has no answer.", reason(error)));
    } finally {
      busy = false;
      element.setAttribute("aria-busy", "false");
    }
  }

  function show(reading: Reading): void {
    const { head, proof, code: bytes } = reading;
    fill(
      asOf,
      "State after ",
      h("a", { href: `#/block/${head.number}` }, `block ${whole(head.number)}`),
      ", ",
      moment(head.timestamp),
    );
    const coin = units(proof.balance, 18);
    fill(
      balance,
      h(
        "span",
        { class: "digits" },
        coin.whole,
        coin.fraction ? h("span", { class: "fraction" }, `.${coin.fraction}`) : null,
      ),
      " ",
      h("span", { class: "currency" }, tame(config.currency, 12)),
    );
    say(nonce, whole(proof.nonce));
    if (bytes === NO_CODE) say(code, "None");
    else fill(code, `${count(proof.codeLength, "byte")}, hash `, brief(proof.codeHash, undefined, 6));
    for (const place of [balanceTrust, nonceTrust, codeTrust]) fill(place, badge(trust()));
    const open = trail.querySelector("details")?.open ?? false;
    if (!trail.contains(document.activeElement))
      fill(trail, ...steps(session, reading, open));
  }

  compare.addEventListener("click", async () => {
    const at = shown;
    const node = config.mainNodes[0];
    if (!at || !node) return;
    compare.disabled = true;
    fill(compared, h("p", { class: "asking" }, "Asking…"));
    try {
      const block = hex(at.head.number);
      const [itsBalance, itsNonce] = await Promise.all([
        askMainNode(node, "eth_getBalance", [address, block]),
        askMainNode(node, "eth_getTransactionCount", [address, block]),
      ]);
      fill(compared, ...comparison("balance", String(BigInt(String(itsBalance))), String(at.proof.balance)));
      compared.append(...comparison("nonce", String(BigInt(String(itsNonce))), String(at.proof.nonce)));
      compared.append(h("p", { class: "as-of" }, `Asked about block ${whole(at.head.number)}.`));
    } catch (error) {
      fill(compared, notice("word", "The main node has no answer.", reason(error)));
    } finally {
      compare.disabled = false;
    }
  });

  function update(): void {
    const { halted, phase, status } = session;
    element.setAttribute("aria-busy", String(shown === null));
    older.hidden = !status.l1?.finalized;
    const words = halted
      ? onL1(halted)
        ? `L1 has another state after block ${whole(halted.block)}. What you see is what was executed on this device.`
        : `The main node is wrong about block ${whole(halted.block)}. What you see is the last state that was verified.`
      : phase === "syncing"
        ? `Still verifying${session.endKnown ? `: the main node is at block ${whole(status.highest ?? 0)}` : ""}. Later blocks may change this.`
        : "";
    if (warning.textContent !== words) {
      fill(warning, words && h("p", { class: halted ? "notice wrong" : "notice word" }, words));
    }
    if (!status.verified) say(asOf, "No block is verified yet. The answer appears here as soon as one is.");
    const wait = PACE - (performance.now() - last);
    if (wait <= 0) void read();
    else waiting ??= window.setTimeout(() => ((waiting = null), void read()), wait);
  }

  update();
  return {
    title: `Account ${address.slice(0, 8)}…`,
    element,
    update,
    close() {
      closed = true;
      if (waiting !== null) clearTimeout(waiting);
    },
  };
}

function comparison(claim: string, expected: string, computed: string): HTMLElement[] {
  if (expected === computed)
    return [h("p", { class: "agrees" }, badge("verified", "Equal"), ` The main node says the same ${claim}.`)];
  return [
    notice(
      "wrong",
      `The main node says another ${claim}. That is not true of the verified state.`,
      difference({ by: "mainNode", claim, expected, computed }),
    ),
  ];
}

/** How L1 stands to what is read: the first link of the chain of evidence, if it covers it. */
function onWhichL1({ head, proved, l1 }: Reading): { trust: Trust; mark: string; words: string } {
  if (proved === null) {
    if (l1 === null) {
      const words = "No L1 node is configured, so it is not known here what is final.";
      return { trust: "unknown", mark: "Not asked", words };
    }
    const why = l1.trouble
      ? "L1 does not answer, so it is not known what is final."
      : l1.proved
        ? `L1 block ${whole(l1.proved.l1Block)} has batch ${whole(l1.proved.batch)} proved, which is not compared with what is verified here yet.`
        : "L1 has not answered yet.";
    return { trust: "unknown", mark: "Not known", words: why };
  }
  const { batch, block } = proved;
  const newer = head.number - block;
  // Which block of L1 has it is known if it was asked of late.
  const at = l1?.proved?.batch === batch ? `L1 block ${whole(l1.proved.l1Block)} has ` : "";
  const has = at
    ? `${at}batch ${whole(batch)}, up to block ${whole(block)}, proved with`
    : `Batch ${whole(batch)}, up to block ${whole(block)}, is proved on L1, with`;
  if (newer <= 0) {
    const root = newer === 0 ? "this state root" : "the state root computed here";
    return { trust: "final", mark: "Final", words: `${has} ${root}. It covers this state.` };
  }
  return {
    trust: "unknown",
    mark: "Behind",
    words: `${has} the state root computed here. This state is ${count(newer, "block")} newer: L1 does not cover it yet.`,
  };
}

function steps(session: Session, reading: Reading, open: boolean): HTMLElement[] {
  const { head, proof, batch } = reading;
  const { trust: level, mark: standing, words } = onWhichL1(reading);
  const light = session.status.mode === "light";
  const behind = light || session.config.checkpoint !== null;
  const step = (trust: Trust, name: string, mark: string | null, ...content: (Node | string)[]) =>
    h(
      "li",
      { class: trust },
      h("h3", {}, name, mark ? badge(trust, mark) : null),
      ...content.map((part) => h("div", {}, part)),
    );
  const path = (what: string, nodes: string[]) =>
    h(
      "div",
      {},
      h("h4", {}, `${what}: ${count(nodes.length, "node")}`),
      h(
        "ol",
        { tabindex: "0", "aria-label": `Path to the ${what.toLowerCase()}` },
        ...nodes.map((node) => h("li", {}, full(node))),
      ),
    );
  const l1 = step(level, "L1", standing, words);
  const given = step(
    "given",
    behind ? "Checkpoint" : "Genesis",
    "Your choice",
    behind
      ? "The block that you chose to begin with, and the rules of the chain. Everything else follows from them."
      : `The accounts that chain ${session.status.chainId} begins with, and its rules. You chose to believe them; everything else follows.`,
  );
  return [
    ...(level === "final" ? [l1, given] : [given, l1]),
    batch?.content
      ? step(
          batch.content.closed ? "verified" : "unknown",
          `Batch ${whole(batch.number)}`,
          batch.content.closed ? "Equal" : "Open",
          batch.content.closed
            ? `Closed, with ${count(batch.content.blocks.length, "block")} by the rules of fork ${batch.forkId}. Its state root is the one computed here.`
            : `Open, with ${count(batch.content.blocks.length, "block")} so far, by the rules of fork ${batch.forkId}.`,
        )
      : batch
        ? step(
            "unknown",
            `Batch ${whole(batch.number)}`,
            null,
            `By the rules of fork ${batch.forkId}. It begins before the checkpoint, so not all of it is held here.`,
          )
        : step("unknown", "Batch", null, "Not known."),
    step(
      "verified",
      `Block ${whole(head.number)}`,
      light ? "Proved" : "Executed here",
      light
        ? "Its state root follows from the checkpoint."
        : "Every transaction of this block and of all before it was executed on this device, and gave the state root that the main node claims.",
      exact(head.stateRoot, "state root"),
      h("p", {}, h("a", { href: `#/block/${head.number}` }, "See its claims and computed values")),
    ),
    step(
      "verified",
      "Proof",
      "Hashes fit",
      `${count(proof.paths.balance.length, "node")} of the state tree lead from this root to the balance${proof.balance === 0n ? ", and show that there is none" : ""}.`,
      h(
        "details",
        { open },
        h("summary", {}, "The paths, node by node"),
        path("Balance", proof.paths.balance),
        path("Nonce", proof.paths.nonce),
        path("Code hash", proof.paths.code),
      ),
    ),
  ];
}
