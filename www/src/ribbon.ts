// The last blocks as bars, as high as they used gas: filled when verified, hollow when merely claimed.
// It repeats the list for the eye alone.

import type { VerifiedBlock } from "./contract";

const SVG = "http://www.w3.org/2000/svg";
/** From one bar to the next, in CSS pixels. */
const PITCH = 10;
const HEIGHT = 48;
const MOST_CLAIMED = 12;

type Kind = "none" | "done" | "claimed" | "lie";

export class Ribbon {
  readonly element = document.createElementNS(SVG, "svg");
  private bars: SVGRectElement[] = [];

  constructor() {
    this.element.setAttribute("class", "ribbon");
    this.element.setAttribute("aria-hidden", "true");
    this.element.setAttribute("preserveAspectRatio", "none");
  }

  /** `blocks` newest first; `behind` of them are claimed and not verified. */
  draw(blocks: VerifiedBlock[], behind: number, halted: boolean): void {
    this.fit(Math.max(8, Math.floor((this.element.clientWidth || 640) / PITCH)));
    const claimed = halted ? 1 : Math.min(behind, MOST_CLAIMED);
    // The newest stands at the right edge, so that it does not move while there are few.
    const first = this.bars.length - claimed - 1;
    const most = Math.max(1, ...blocks.slice(0, first + 1).map(({ gasUsed }) => gasUsed));
    this.bars.forEach((bar, place) => {
      const block = blocks[first - place];
      if (place > first) set(bar, halted ? "lie" : "claimed", halted ? HEIGHT - 2 : 14);
      // The root makes small blocks visible beside large ones.
      else if (block) set(bar, "done", Math.max(4, Math.sqrt(block.gasUsed / most) * (HEIGHT - 2)));
      else set(bar, "none", 0);
    });
  }

  private fit(room: number): void {
    if (room === this.bars.length) return;
    this.element.setAttribute("viewBox", `0 0 ${room * PITCH} ${HEIGHT}`);
    this.bars = Array.from({ length: room }, (_, place) => {
      const bar = document.createElementNS(SVG, "rect");
      bar.setAttribute("x", String(place * PITCH + 1));
      bar.setAttribute("width", String(PITCH - 4));
      bar.setAttribute("rx", "1.5");
      return bar;
    });
    this.element.replaceChildren(...this.bars);
  }
}

function set(bar: SVGRectElement, kind: Kind, height: number): void {
  const now = height.toFixed(1);
  if (bar.getAttribute("height") === now && bar.getAttribute("class") === kind) return;
  bar.setAttribute("class", kind);
  bar.setAttribute("height", now);
  bar.setAttribute("y", (HEIGHT - height - 1).toFixed(1));
}
