// What the main node is wrong about, and what anybody can do with that; or what L1 has otherwise.

import type { Mismatch } from "../contract";
import { h, say } from "../dom";
import { whole } from "../format";
import { difference, download, onL1, reason } from "../parts";
import type { Session } from "../session";

/** The difference, and what to do with it. `linked`: the block's own page is elsewhere. */
export function mismatchPanel(session: Session, mismatch: Mismatch, linked: boolean): HTMLElement {
  const outcome = h("p", { class: "outcome", role: "status" });
  return h(
    "section",
    { class: "mismatch", "aria-label": "The mismatch" },
    h(
      "p",
      { class: "where" },
      `Block ${whole(mismatch.block)}, batch ${whole(mismatch.batch)}: `,
      h("strong", {}, mismatch.claim),
    ),
    difference(mismatch),
    h(
      "div",
      { class: "actions" },
      // What L1 has is no claim that can be executed.
      ...(onL1(mismatch)
        ? []
        : [
            downloadButton(session, mismatch, outcome),
            h("a", { class: "button", href: "#/evidence/now" }, "Execute it again"),
          ]),
      linked &&
        h("a", { class: "button", href: `#/block/${mismatch.block}` }, `Look at block ${whole(mismatch.block)}`),
    ),
    outcome,
  );
}

/** Saves the evidence, and says so in `outcome`. */
export function downloadButton(session: Session, mismatch: Mismatch, outcome: HTMLElement): HTMLButtonElement {
  const button = h("button", { type: "button", class: "primary" }, "Download the evidence");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const file = await session.replica.evidence();
      if (!file) throw new Error("there is none of this mismatch");
      download(file, `evidence-block-${mismatch.block}.json`);
      say(
        outcome,
        `Saved ${whole(file.length)} bytes. Anyone can execute them again, without a network and without believing you.`,
      );
    } catch (error) {
      say(outcome, `The evidence cannot be had. ${reason(error)}`);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}
