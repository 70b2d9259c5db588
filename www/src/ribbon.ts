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
    this.element.setAttribute("preserveAspectRatio", "none");
  }

  /** `blocks` newest first; `behind` of them are claimed and not verified. */
  draw(blocks: VerifiedBlock[], behind: number, halted: boolean): void {
    const width = this.element.clientWidth || 640;
    const room = Math.max(8, Math.floor(width / PITCH));
    const claimed = halted ? 1 : Math.min(behind, MOST_CLAIMED);
    const shown = blocks.slice(0, room - claimed).reverse();
    const now = `${room} ${claimed} ${halted} ${shown.length} ${shown.at(-1)?.hash}`;
    if (now === this.drawn) return;
    this.drawn = now;
    this.element.setAttribute("viewBox", `0 0 ${room * PITCH} ${HEIGHT}`);
    const most = Math.max(1, ...shown.map(({ gasUsed }) => gasUsed));
    // The newest stands at the right edge, so that it does not move while there are few.
    const first = room - claimed - shown.length;
    const bars = shown.map(({ gasUsed }, place) => {
      // The root makes small blocks visible beside large ones.
      return bar(first + place, Math.max(4, Math.sqrt(gasUsed / most) * (HEIGHT - 2)), "done");
    });
    for (let place = room - claimed; place < room; place += 1) {
      bars.push(bar(place, halted ? HEIGHT - 2 : 14, halted ? "lie" : "claimed"));
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
