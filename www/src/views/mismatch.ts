// What the main node is wrong about, and what anybody can do with that.

import type { Mismatch } from "../contract";
import { h, say } from "../dom";
import { whole } from "../format";
import { announce, difference, download, reason } from "../parts";
import type { Session } from "../session";

export function mismatchPanel(session: Session, mismatch: Mismatch): HTMLElement {
  const outcome = h("p", { class: "outcome", role: "status" });
  const get = h("button", { type: "button", class: "primary" }, "Download the evidence");
  get.addEventListener("click", async () => {
    get.disabled = true;
    try {
      const file = await session.replica.evidence();
      if (!file) throw new Error("there is none of this mismatch");
      download(file, `evidence-block-${mismatch.block}.json`);
      say(outcome, `Saved ${whole(file.length)} bytes. Anyone can re-execute them, without a network and without believing you.`);
      announce("The evidence is saved.");
    } catch (error) {
      say(outcome, `The evidence cannot be had: ${reason(error)}.`);
    } finally {
      get.disabled = false;
    }
  });
  return h(
    "section",
    { class: "mismatch", "aria-label": "The mismatch" },
    h("p", { class: "where" }, `Block ${whole(mismatch.block)}, batch ${whole(mismatch.batch)}: `, h("strong", {}, mismatch.claim)),
    difference(mismatch),
    h(
      "div",
      { class: "actions" },
      get,
      h("a", { class: "button", href: "#/evidence" }, "Re-check evidence"),
      h("a", { class: "button", href: `#/block/${mismatch.block}` }, `Look at block ${whole(mismatch.block)}`),
    ),
    outcome,
  );
}
