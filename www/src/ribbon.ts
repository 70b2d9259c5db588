// The last blocks as bars, as high as they used gas: filled when verified, hollow when merely claimed.
// It repeats the list for the eye alone.

import type { VerifiedBlock } from "./contract";

const SVG = "http://www.w3.org/2000/svg";
const PITCH = 10;
const HEIGHT = 48;
const MOST_CLAIMED = 12;

export class Ribbon {
  readonly element = document.createElementNS(SVG, "svg");
  private drawn = "";

  constructor() {
    this.element.setAttribute("class", "ribbon");
    this.element.setAttribute("aria-hidden", "true");
    this.element.setAttribute("height", String(HEIGHT));
  }

  /** `blocks` newest first; `behind` of them are claimed and not verified. */
  draw(blocks: VerifiedBlock[], behind: number, halted: boolean): void {
    const room = Math.max(8, Math.floor((this.element.clientWidth || 640) / PITCH));
    const claimed = halted ? 1 : Math.min(behind, MOST_CLAIMED);
    const shown = blocks.slice(0, room - claimed).reverse();
    const now = `${room} ${claimed} ${halted} ${shown.length} ${shown.at(-1)?.hash}`;
    if (now === this.drawn) return;
    this.drawn = now;
    const most = Math.max(1, ...shown.map(({ gasUsed }) => gasUsed));
    const bars = shown.map(({ gasUsed }, place) => {
      // The root makes small blocks visible beside large ones.
      return bar(place, Math.max(4, Math.sqrt(gasUsed / most) * (HEIGHT - 2)), "done");
    });
    for (let place = 0; place < claimed; place += 1) {
      bars.push(bar(shown.length + place, halted ? HEIGHT - 2 : 14, halted ? "lie" : "claimed"));
    }
    this.element.replaceChildren(...bars);
  }
}

function bar(place: number, height: number, kind: string): SVGRectElement {
  const rect = document.createElementNS(SVG, "rect");
  const set = (name: string, value: number) => rect.setAttribute(name, value.toFixed(1));
  set("x", place * PITCH + 1);
  set("y", HEIGHT - height - 1);
  set("width", PITCH - 4);
  set("height", height);
  set("rx", 1.5);
  rect.setAttribute("class", kind);
  return rect;
}
