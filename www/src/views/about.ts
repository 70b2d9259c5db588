// What the page shows, and what it does not.

import type { Found } from "../config";
import { h } from "../dom";
import { whole } from "../format";
import { badge, facts, type Trust } from "../parts";
import type { View } from "./view";

const LEVELS: [Trust, string][] = [
  [
    "verified",
    "This device executed every block since genesis, and the answer is read from the state that came out. Nobody was asked, and nobody can make it another one.",
  ],
  ["final", "The same, and the state root is the one that was proved on L1: no roll-back can undo it."],
  [
    "proved",
    "Light mode: the answer came with a proof, and the proof leads to a state root that follows from your checkpoint.",
  ],
  [
    "given",
    "Genesis, chain id and forks, or the checkpoint; and what an L1 node says, where you name one. You choose to believe them; if they are wrong, another chain is verified.",
  ],
  [
    "word",
    "The main node says so, and it cannot be checked here: what it has not yet put into a block, or a block that was refused.",
  ],
  ["wrong", "The main node says so, and executing it on this device gives something else."],
];

const PRIVACY =
  "The main node sees that you fetch blocks: all of them, in order, like everybody else. Which addresses, blocks and tokens you look at stays on this device, unless you press a button that says otherwise. An L1 node, where one is named, sees that you ask about this rollup. There are no cookies, no analytics and nothing from other servers.";
const PRIVACY_LIGHT =
  "In light mode each answer needs a proof from the main node: it learns which addresses, tokens and transactions you look at, and that you fetch blocks. There are no cookies, no analytics and nothing from other servers. Without a checkpoint, from genesis on, nobody learns what you look at.";

export function aboutView(found: Found | null): View {
  const config = found?.config;
  const place = (part: object | string) => (typeof part === "string" ? part : "given by whoever serves this page");
  const element = h(
    "article",
    { class: "about" },
    h(
      "header",
      { class: "view-head" },
      h("p", { class: "eyebrow" }, "How it works"),
      h("h1", { tabindex: "-1" }, "A replica that believes nothing"),
      h(
        "p",
        { class: "lead" },
        "A rollup’s sequencer, the main node, says what every block did. This page runs each block again, in your browser, and compares: state root, block hash, receipts, logs, gas. What is not equal is refused.",
      ),
    ),
    h(
      "section",
      { "aria-labelledby": "levels" },
      h("h2", { id: "levels" }, "What the marks mean"),
      h(
        "dl",
        { class: "levels" },
        ...LEVELS.map(([trust, words]) => h("div", {}, h("dt", {}, badge(trust)), h("dd", {}, words))),
      ),
    ),
    h(
      "section",
      { "aria-labelledby": "limits" },
      h("h2", { id: "limits" }, "What it cannot show"),
      h(
        "ul",
        {},
        h("li", {}, "That the sequencer is fair. It may leave out transactions, or order them to its gain."),
        h("li", {}, "That the chain goes on. A main node that falls silent makes answers old, not wrong."),
        h("li", {}, "That a bridge’s exit root exists on L1, until a proof on L1 covers the block that uses it."),
        h(
          "li",
          {},
          "That this page is the one its authors wrote. Serve it from a place that you trust: your own replica, or a copy of your own.",
        ),
      ),
    ),
    h(
      "section",
      { "aria-labelledby": "privacy" },
      h("h2", { id: "privacy" }, "Who learns what"),
      h("p", {}, config?.checkpoint && !config.snapshot ? PRIVACY_LIGHT : PRIVACY),
    ),
    h(
      "section",
      { "aria-labelledby": "here" },
      h("h2", { id: "here" }, "This page’s chain"),
      found && config
        ? facts(
            ["Main node", config.mainNodes.join(", ")],
            ["Chain file", place(config.chain)],
            config.genesis ? ["Genesis file", place(config.genesis)] : null,
            config.checkpoint
              ? ["Checkpoint", `block ${whole(config.checkpoint.number)}, ${config.checkpoint.hash}`]
              : null,
            config.snapshot ? ["Snapshot", config.snapshot] : null,
            config.stream ? ["Recording", config.stream] : null,
            config.l1 ? ["L1 node", config.l1.url.join(", ")] : null,
            config.l1 ? ["Rollup on L1", `${config.l1.rollupManager}, number ${config.l1.rollupId}`] : null,
            found.byLink ? ["Chosen", "by this link; nothing is verified before you confirm it"] : null,
          )
        : h("p", {}, "None is set up yet."),
      h("p", {}, h("a", { class: "button", href: "#/setup" }, "Check another chain")),
    ),
  );
  return { title: "How it works", element };
}
