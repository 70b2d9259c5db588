// The chain as it is verified: how far, how fast, and the blocks that came last.

import type { VerifiedBlock } from "../contract";
import { fill, h, say } from "../dom";
import { isoTime, rate, size, span, tame, when, whole } from "../format";
import { age, badge, brief, notice, onL1, reason } from "../parts";
import { Ribbon } from "../ribbon";
import type { Session } from "../session";
import { mismatchPanel } from "./mismatch";
import type { View } from "./view";

const LISTED = 20;
/** The list is for reading: it does not move more often than this, in milliseconds. */
const LIST_PACE = 400;

export function homeView(session: Session): View {
  const title = h("h1", { tabindex: "-1" });
  const lead = h("p", { class: "lead" });
  const eyebrow = h("p", { class: "eyebrow" });
  const bar = h("progress", { max: 1, "aria-label": "Blocks verified" });
  const from = h("span");
  const to = h("span");
  const progress = h("div", { class: "progress" }, bar, h("div", { class: "ends" }, from, to));
  const ribbon = new Ribbon();
  const trouble = h("div");
  const wrong = h("div");
  const keeping = h("dt");
  const kept = h("dd");
  const values = new Map(["Verified", "Main node", "Rate", "Transactions"].map((name) => [name, h("dd")]));
  const timing = h("dt");
  const time = h("dd");
  const fixed = h("dd");
  const final = h("div", {}, h("dt", {}, "Proved on L1"), fixed);
  const figures = h(
    "dl",
    { class: "figures" },
    ...[...values].map(([name, value]) => h("div", {}, h("dt", {}, name), value)),
    h("div", {}, timing, time),
    final,
    h("div", {}, keeping, kept),
  );
  const rows = h("tbody");
  const empty = h("p", { class: "empty" }, "The first one appears here as soon as it is verified.");
  const columns = ["Block", "Batch", "Time", "Transactions", "Gas", "State root", "Checked"];
  const table = h(
    "table",
    { class: "blocks" },
    h("caption", { class: "visually-hidden" }, "The blocks that were verified last, newest first"),
    h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
    rows,
  );
  const element = h(
    "div",
    { class: "home" },
    h(
      "section",
      { class: "verdict", "aria-label": "What is verified" },
      eyebrow,
      title,
      lead,
      wrong,
      trouble,
      progress,
      ribbon.element,
      figures,
    ),
    h(
      "section",
      { "aria-labelledby": "blocks-title" },
      h("h2", { id: "blocks-title" }, "The last verified blocks"),
      empty,
      table,
    ),
  );

  const known = new Map<string, HTMLTableRowElement>();
  let listed = 0;
  let shownMismatch = "";

  function list(): void {
    const blocks = session.blocks.slice(0, LISTED);
    empty.hidden = blocks.length > 0;
    table.hidden = blocks.length === 0;
    const wanted = blocks.map((block) => {
      const row = known.get(block.hash) ?? blockRow(block);
      known.set(block.hash, row);
      return row;
    });
    const hashes = new Set(blocks.map(({ hash }) => hash));
    for (const [hash, row] of known) {
      if (hashes.has(hash) || row.contains(document.activeElement)) continue;
      row.remove();
      known.delete(hash);
    }
    // Rows that stay are not touched: a link in one of them may have the focus.
    let before: ChildNode | null = rows.firstChild;
    for (const row of wanted) {
      if (row === before) before = row.nextSibling;
      else rows.insertBefore(row, before);
    }
  }

  function update(): void {
    const { status, behind, halted, phase, endKnown } = session;
    const { verified, highest } = status;
    element.dataset.phase = phase;
    const light = status.mode === "light";
    say(
      eyebrow,
      `${tame(status.chainName) || "Chain"} ${status.chainId} · ${light ? "light: proofs from a checkpoint" : "full: every block executed again"}`,
    );
    say(title, headline(session));
    say(lead, explanation(session));

    const mismatch = halted ? JSON.stringify(halted) : "";
    if (mismatch !== shownMismatch) {
      shownMismatch = mismatch;
      fill(wrong, halted && mismatchPanel(session, halted, true));
    }
    const words = difficulty(session);
    if (trouble.textContent !== (words?.textContent ?? "")) fill(trouble, words);

    figures.hidden = phase === "starting";
    ribbon.element.classList.toggle("empty", session.blocks.length === 0);
    progress.hidden = phase !== "syncing" && phase !== "starting";
    if (highest !== null && verified && endKnown) {
      bar.max = Math.max(1, highest);
      bar.value = verified.number;
    } else {
      bar.removeAttribute("value");
    }
    say(
      from,
      !verified
        ? "Preparing"
        : endKnown
          ? `${percent(verified.number, highest)} of the chain`
          : "How far the recording goes is not known yet",
    );
    say(to, highest === null || !endKnown ? "" : `Main node: block ${whole(highest)}`);
    ribbon.draw(session.blocks, behind, halted !== null);

    const set = (name: string, text: string) => say(values.get(name) ?? h("dd"), text);
    set("Verified", verified ? whole(verified.number) : "–");
    set("Main node", highest === null || session.config.mainNodes.length === 0 ? "–" : whole(highest));
    set("Rate", status.rate > 0 && !halted ? `${rate(status.rate)} blocks/s` : "–");
    say(timing, phase === "synced" ? "Newest block" : "Time left");
    say(time, phase === "synced" && verified ? age(verified.timestamp) : timeLeft(session));
    final.hidden = status.l1 === null;
    say(fixed, status.l1?.finalized ? `to block ${whole(status.l1.finalized.block)}` : "nothing yet");
    set("Transactions", verified ? whole(verified.totals.transactions) : "–");
    say(keeping, status.storage === "memory" ? "In memory only" : "Kept in this browser");
    say(kept, size(status.stored));

    const now = performance.now();
    if (now - listed >= LIST_PACE) {
      listed = now;
      list();
    }
  }

  update();
  return { title: "The chain", element, update };
}

export function headline(session: Session): string {
  const { status, halted, phase } = session;
  const block = whole(status.verified?.number ?? 0);
  if (halted && onL1(halted)) return `L1 has another state after block ${whole(halted.block)}.`;
  if (halted) return `The main node is wrong about block ${whole(halted.block)}.`;
  if (phase === "starting") return "Preparing to verify the chain.";
  if (phase === "synced") return `Block ${block} is verified.`;
  return session.endKnown ? `Verifying block ${block} of ${whole(status.highest ?? 0)}.` : `Verifying block ${block}.`;
}

function explanation(session: Session): string {
  const { status, phase, halted } = session;
  const { verified } = status;
  if (halted) {
    if (onL1(halted))
      return "What L1 has proved of this batch is not what came out of executing it on this device. One of the two is wrong: nothing is added before they agree, and what is shown stays what was executed here.";
    const stays = verified ? `Block ${whole(verified.number)} stays the last one, and` : "Nothing is verified yet, and";
    return `What it claims does not follow from executing the block on this device. ${stays} nothing is shown here that was not verified.`;
  }
  if (!verified)
    return status.mode === "light"
      ? "Asking the main node for the block that you chose to begin with."
      : session.config.snapshot
        ? "Reading the state after the block that you chose to begin with, and computing its root."
        : "Reading the genesis accounts and computing their state root.";
  if (status.mode === "light") {
    return "Each answer comes with a proof that leads to a state root, which follows from the checkpoint that you chose.";
  }
  const since = session.config.checkpoint ? "the checkpoint that you chose" : "genesis";
  return phase === "syncing"
    ? `This device executes every transaction since ${since} again and compares each result with the main node’s claim.`
    : `This device executed every transaction since ${since} again and found the same state root as the main node.`;
}

function difficulty(session: Session): HTMLElement | null {
  const { problem, status } = session;
  const { verified } = status;
  const since = verified
    ? `Answers are from block ${whole(verified.number)}, made ${age(verified.timestamp)}. They stay true; newer ones are missing.`
    : "";
  if (session.offline) return notice("plain", "You are offline.", since);
  if (status.trouble) {
    const words = `${reason(status.trouble)} It is tried again by itself. ${since}`;
    return status.unsound
      ? notice("wrong", contradiction(session).long, words)
      : notice("word", wanting(session) ? "The snapshot cannot be had." : "The main node cannot be followed.", words);
  }
  if (status.l1?.trouble) {
    const { finalized } = status.l1;
    const fixed = finalized
      ? `What is proved up to block ${whole(finalized.block)} stays final`
      : "Nothing is known to be final";
    const words = `${reason(status.l1.trouble)} It is asked again by itself. ${fixed}, and blocks are verified all the same.`;
    return notice("word", "L1 does not answer.", words);
  }
  switch (problem?.kind) {
    case "quota": {
      const lost = "What is verified from now on is lost when this page is closed.";
      return notice("word", "This browser has no more room.", `${lost} ${reason(problem)}`);
    }
    case "storage":
      return notice("word", "This browser does not keep what is verified.", reason(problem));
    case "engine":
      return notice("word", "The replica failed, and was started again.", reason(problem));
    default:
      return null;
  }
}

/** The snapshot to begin with has not come yet. */
const wanting = ({ config, status }: Session): boolean => config.snapshot !== null && !status.verified;

/** What it means that answers of the main node cannot be true. */
export function contradiction(session: Session): { short: string; long: string } {
  const { status } = session;
  if (wanting(session))
    return { short: "Snapshot refused", long: "The snapshot is not the state after the checkpoint that you chose." };
  if (status.mode === "light" && !status.verified) {
    return {
      short: "Checkpoint contradicted",
      long: "The main node contradicts the checkpoint: one of the two is not true.",
    };
  }
  return { short: "Main node is wrong", long: "What the main node says cannot be true: it contradicts itself." };
}

function timeLeft(session: Session): string {
  const { behind, halted, status } = session;
  if (halted) return "halted";
  if (!status.verified) return "–";
  return status.rate > 0 && behind > 0 && !status.trouble ? span(behind / status.rate) : "–";
}

function percent(done: number, all: number | null): string {
  if (!all) return "0%";
  return `${Math.floor((100 * done) / all)}%`;
}

function blockRow(block: VerifiedBlock): HTMLTableRowElement {
  const cell = (name: string, ...content: (Node | string)[]) => h("td", { "data-name": name }, ...content);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { href: `#/block/${block.number}` }, whole(block.number))),
    cell("Batch", whole(block.batch)),
    cell("Time", h("time", { datetime: isoTime(block.timestamp) }, when(block.timestamp))),
    cell("Transactions", whole(block.transactions)),
    cell("Gas", whole(block.gasUsed)),
    cell("State root", brief(block.stateRoot)),
    cell("Checked", badge("verified", "Equal")),
  );
}
