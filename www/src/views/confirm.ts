// A link chose the chain: nothing of it is asked for before the person at this device says yes.

import type { Config, Found } from "../config";
import { h } from "../dom";
import { tame, whole } from "../format";
import { facts, notice } from "../parts";
import type { View } from "./view";

export function confirmView({ config, own }: Found, accept: (config: Config) => Promise<void>): View {
  const yes = h("button", { type: "button", class: own ? "" : "primary" }, "Verify what the link names");
  yes.addEventListener("click", () => {
    yes.disabled = true;
    void accept(config);
  });
  // Without what the link says.
  const home = h("a", { class: "button primary", href: location.pathname }, "Stay with this page’s chain");
  const element = h(
    "article",
    { class: "confirm" },
    h(
      "header",
      { class: "view-head" },
      h("p", { class: "eyebrow" }, "By this link"),
      h("h1", { tabindex: "-1" }, own ? "This link names another chain than this page." : "This link names a chain."),
      h(
        "p",
        { class: "lead" },
        "Whoever made the link chose where blocks come from, and what the chain begins with. What is verified then is true of that chain, which need not be the one that you know.",
      ),
    ),
    facts(...rows(config, own).map(([name, named, usual]) => [name, line(named, usual)] as const)),
    notice(
      "word",
      "Go on only if you know these names.",
      "Compare them with a source that you believe. Nothing was asked of them yet, and you are asked once.",
    ),
    h(
      "div",
      { class: "actions" },
      own ? home : null,
      yes,
      h("a", { class: "button", href: "#/setup" }, "Set up a chain"),
    ),
  );
  return { title: "By this link", element };
}

type Named = string | null;

/** What each names: the link, and whoever serves the page. */
function rows(config: Config, own: Config | null): [name: string, named: Named, usual: Named | undefined][] {
  const parts: [string, (config: Config) => Named][] = [
    ["Main node", ({ mainNodes }) => mainNodes.join(" ") || null],
    ["Chain file", ({ chain }) => address(chain)],
    ["Genesis file", ({ genesis }) => genesis && address(genesis)],
    ["Checkpoint", ({ checkpoint: at }) => at && `block ${whole(at.number)}, ${at.hash}`],
    ["Snapshot", ({ snapshot }) => snapshot],
    ["Recording", ({ stream }) => stream],
    ["L1 node", ({ l1 }) => l1?.url.join(" ") ?? null],
    ["Rollup on L1", ({ l1 }) => l1 && `${l1.rollupManager}, number ${l1.rollupId}, ${l1.block} block`],
    ["Coin", ({ currency }) => tame(currency, 12)],
  ];
  return parts
    .map(([name, of]): [string, Named, Named | undefined] => [name, of(config), own ? of(own) : undefined])
    .filter(([, named, usual]) => named !== null || (usual ?? null) !== null);
}

const address = (part: object | string): string =>
  typeof part === "string" ? part : "given by whoever serves this page";

function line(named: Named, usual: Named | undefined): HTMLElement {
  const differs = usual !== undefined && usual !== named;
  return h(
    "span",
    { class: "named" },
    ...(named?.split(" ").flatMap(withHost) ?? ["none"]),
    differs && h("span", { class: "hint" }, `this page’s own: ${usual ?? "none"}`),
  );
}

/** An address with the part of it that says whose it is. */
function withHost(text: string): (Node | string)[] {
  if (!/^https?:/.test(text) || !URL.canParse(text)) return [`${text} `];
  const { host, protocol } = new URL(text);
  const [before, ...after] = text.split(host);
  return [before || `${protocol}//`, h("strong", {}, host), `${after.join(host)} `];
}
