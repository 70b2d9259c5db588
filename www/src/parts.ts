// Pieces that several views are made of.

import type { Mismatch } from "./contract";
import { fill, h } from "./dom";
import { clock, isoTime, sentence, short, span, whole } from "./format";

/** What an answer is backed by, as docs/trust-model.md has it. */
export type Trust = "verified" | "final" | "proved" | "word" | "wrong" | "given" | "unknown";

const TRUST: Record<Trust, [name: string, icon: string]> = {
  verified: ["Verified here", "M3 8.5l3.2 3.2L13 5"],
  final: ["Proved on L1", "M1 8.5l3.2 3.2L11 5M7.5 11l.7.7L15 5"],
  proved: ["Proved", "M3 8.5l3.2 3.2L13 5"],
  word: ["Main node’s word", "M3 3.5h10v7H7.5L5 13v-2.5H3z"],
  wrong: ["Wrong", "M4 4l8 8M12 4l-8 8"],
  given: ["Your choice", "M8 3v10M3 8h10"],
  unknown: ["Not known", "M4 8h8"],
};

export function icon(path: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export function badge(trust: Trust, words?: string): HTMLElement {
  const [name, path] = TRUST[trust];
  return h("span", { class: `badge ${trust}` }, icon(path), words ?? name);
}

/**
 * Bytes in full. Where a line is too short for them it breaks after whole parts: an address in its middle, anything else
 * behind each `part` digits. `head` digits stand before the first part.
 */
export function full(hex: string, part = hex.length === 42 ? 20 : 32, head = 0): HTMLElement {
  const code = h("code", {}, hex.slice(0, 2 + head));
  for (let at = 2 + head; at < hex.length; at += part) {
    if (at > 2) code.append(h("wbr"));
    code.append(hex.slice(at, at + part));
  }
  return code;
}

/** A hash or address in full, with a button that copies it. */
export function exact(hex: string, what: string, link?: string): HTMLElement {
  const code = full(hex);
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy the ${what}`, title: "Copy" });
  fill(button, icon("M5.5 5.5V3h7.5v7.5h-2.5M3 5.5h7.5V13H3z"));
  button.addEventListener("click", () => {
    void navigator.clipboard?.writeText(hex).then(() => {
      button.classList.add("copied");
      announce(`The ${what} is copied.`);
      setTimeout(() => button.classList.remove("copied"), 1200);
    });
  });
  return h("span", { class: "exact" }, link ? h("a", { href: link }, code) : code, button);
}

/** A hash in a list: its ends, and all of it for whoever points at it. */
export function brief(hex: string, link?: string, each = 4): HTMLElement {
  const code = h("code", { class: "brief", title: hex }, short(hex, each));
  return link ? h("a", { href: link }, code) : code;
}

export function moment(seconds: number): HTMLElement {
  return h("time", { datetime: isoTime(seconds) }, clock(seconds));
}

/** How long ago, which the caller sets again when time goes by. */
export function age(seconds: number): string {
  const gone = Date.now() / 1000 - seconds;
  return gone < 2 ? "just now" : `${span(gone)} ago`;
}

/** Terms and what they are. */
export function facts(...rows: (readonly [string, Node | string] | null)[]): HTMLElement {
  const list = h("dl", { class: "facts" });
  for (const row of rows) if (row) list.append(h("div", {}, h("dt", {}, row[0]), h("dd", {}, row[1])));
  return list;
}

/** Whether it is L1 that says otherwise, and not the main node. */
export const onL1 = ({ by }: Pick<Mismatch, "by">): boolean => by === "l1";

/** Both sides of a disagreement, and exactly where they differ. */
export function difference({
  claim,
  by,
  expected,
  computed,
}: Pick<Mismatch, "claim" | "by" | "expected" | "computed">): HTMLElement {
  const [said, found] = marked(expected, computed);
  const distance = numeric(expected) && numeric(computed) ? BigInt(expected) - BigInt(computed) : null;
  return h(
    "dl",
    { class: "difference" },
    h(
      "div",
      { class: "claimed" },
      h("dt", {}, `${onL1({ by }) ? "L1" : "The main node"} says: ${claim}`),
      h("dd", {}, said),
    ),
    h(
      "div",
      { class: "computed" },
      h("dt", {}, valueLike(computed) ? "Computed on this device" : "Found on this device"),
      h("dd", {}, found),
    ),
    distance === null
      ? null
      : h(
          "div",
          {},
          h("dt", {}, "Difference"),
          h("dd", {}, h("code", {}, `${distance > 0n ? "+" : ""}${whole(distance)}`)),
        ),
  );
}

const numeric = (text: string): boolean => /^\d{1,78}$/.test(text);
const valueLike = (text: string): boolean => numeric(text) || /^0x[0-9a-f]+$/i.test(text);

function marked(left: string, right: string): [HTMLElement, HTMLElement] {
  if (!valueLike(left) || !valueLike(right)) return [h("span", {}, left), h("span", {}, right)];
  const least = Math.min(left.length, right.length);
  let start = 0;
  while (start < least && left[start] === right[start]) start += 1;
  let end = 0;
  while (end < least - start && left.at(-1 - end) === right.at(-1 - end)) end += 1;
  const code = (text: string) => {
    const middle = text.slice(start, text.length - end);
    return h("code", {}, text.slice(0, start), middle ? h("mark", {}, middle) : null, text.slice(text.length - end));
  };
  return [code(left), code(right)];
}

/** A box with something that a person has to know. */
export function notice(kind: "wrong" | "word" | "plain", title: string, ...content: (Node | string)[]): HTMLElement {
  return h(
    "div",
    { class: `notice ${kind}` },
    h("p", { class: "notice-title" }, title),
    ...content.map((part) => h("div", {}, part)),
  );
}

/** Says it to screen readers, once. */
export function announce(words: string): void {
  const region = document.getElementById("announcements");
  if (region && region.textContent !== words) region.textContent = words;
}

/** A sentence about an error whose text may come from far away. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String((error as { message?: unknown })?.message ?? error);
  return sentence(text.length > 300 ? `${text.slice(0, 300)}…` : text);
}

/** Saves bytes as a file. */
export function download(bytes: Uint8Array, name: string): void {
  const address = URL.createObjectURL(new Blob([bytes as BlobPart], { type: "application/json" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
