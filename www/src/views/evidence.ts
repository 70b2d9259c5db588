// A file of evidence is executed again, here: who is right?

import type { CheckEvidence, Judgement, Mismatch } from "../contract";
import { fill, h } from "../dom";
import { count, sentence, whole } from "../format";
import { announce, difference, notice, onL1, reason } from "../parts";
import type { Session } from "../session";
import { granted } from "./granted";
import { downloadButton } from "./mismatch";
import type { View } from "./view";

/** `MAX_LEN` of docs/evidence.md, in bytes. */
const LONGEST = 64 << 20;

/**
 * Without a session no chain is known here, and a file is judged all the same. `now`: the evidence of what the main node is
 * wrong about is executed at once.
 */
export function evidenceView(session: Session | null, check: CheckEvidence, now: boolean): View {
  const input = h("input", {
    type: "file",
    id: "evidence-file",
    accept: ".json,application/json",
    class: "visually-hidden",
  });
  const outcome = h("div", { class: "judgement" });
  const zone = h(
    "label",
    { class: "drop", for: "evidence-file" },
    h("strong", {}, "Drop an evidence file here, or choose one"),
    h("span", {}, "It is executed on this device. It is sent nowhere."),
  );
  const present = h("div");
  const element = h(
    "article",
    { class: "evidence" },
    h(
      "header",
      { class: "view-head" },
      h("p", { class: "eyebrow" }, "Evidence"),
      h("h1", { tabindex: "-1" }, "Who is right?"),
      h(
        "p",
        { class: "lead" },
        "When a main node claims something that is not true, a replica writes a file of evidence: the claim, and every part of the state that it takes to check it. Whoever has the file can execute it again, without the network and without believing whoever sent it.",
      ),
    ),
    present,
    h("div", { class: "drop-place" }, input, zone),
    outcome,
  );

  for (const name of ["dragenter", "dragover"] as const) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file) void judge(file);
  });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) void judge(file);
  });

  /** `heard`: what the file says that the main node claims, this device was told itself. */
  async function judge(file: File, heard = false): Promise<void> {
    fill(outcome, h("p", { class: "asking" }, `Executing ${file.name} again…`));
    try {
      if (file.size > LONGEST)
        throw new Error(`the file has ${whole(file.size)} bytes; no evidence is longer than ${whole(LONGEST)}`);
      const bytes = new Uint8Array(await file.arrayBuffer());
      const judgement = await (session ? session.replica.checkEvidence(bytes) : check(bytes));
      // A file that is refused takes nothing for granted, and may be anything.
      const taken = judgement.verdict === "refused" ? [] : await granted(session, judgement, bytes, heard);
      fill(outcome, result(file, judgement, taken, heard));
      announce(outcome.querySelector(".notice-title")?.textContent ?? "");
    } catch (error) {
      fill(outcome, notice("word", "The file could not be checked.", reason(error)));
    }
  }

  let shown = "";
  function update(): void {
    if (!session) return;
    const { halted } = session;
    const state = JSON.stringify(halted);
    if (state === shown) return;
    shown = state;
    const claimed = halted && !onL1(halted);
    fill(present, claimed && presentNotice(session, halted));
    if (claimed && now) {
      now = false;
      void judgePresent(session);
    }
  }

  function presentNotice(session: Session, halted: Mismatch): HTMLElement {
    const saved = h("p", { class: "outcome", role: "status" });
    const again = h("button", { type: "button", click: () => void judgePresent(session) }, "Execute it again");
    const words = `The main node is wrong about block ${whole(halted.block)}: ${halted.claim}.`;
    return notice(
      "wrong",
      words,
      "This replica has evidence of it.",
      h("div", { class: "actions" }, downloadButton(session, halted, saved), again),
      saved,
    );
  }

  async function judgePresent(session: Session): Promise<void> {
    const block = session.halted?.block ?? 0;
    const bytes = await session.replica.evidence().catch(() => null);
    if (bytes) await judge(new File([bytes as BlobPart], `evidence-block-${block}.json`), true);
    else fill(outcome, notice("word", "There is no evidence.", "The main node is not wrong about anything now."));
  }

  update();
  return { title: "Evidence", element, update };
}

function result(file: File, judgement: Judgement, taken: HTMLElement[], heard: boolean): HTMLElement {
  const named = h("p", { class: "as-of" }, `${file.name}, ${count(file.size, "byte")}`);
  if (judgement.verdict === "refused") {
    return notice(
      "word",
      "This file is no evidence of anything.",
      h("p", {}, `It was forged, altered or cut short. ${sentence(judgement.reason ?? "no reason is given")}`),
      named,
    );
  }
  const assumed = h("section", {}, h("h2", {}, "What this takes for granted"), h("ul", { class: "anchors" }, ...taken));
  const { mismatch } = judgement;
  if (judgement.verdict === "true" || !mismatch) {
    return notice(
      "plain",
      heard ? "What the main node says is true." : "What the main node says, by this file, is true.",
      h("p", {}, "Executed again, the file shows no mismatch."),
      assumed,
      named,
    );
  }
  return notice(
    "plain",
    heard ? "The main node is wrong." : "What the main node says, by this file, is not true.",
    h(
      "p",
      { class: "where" },
      `Block ${whole(mismatch.block)}, batch ${whole(mismatch.batch)}: `,
      h("strong", {}, mismatch.claim),
    ),
    difference(mismatch),
    assumed,
    named,
  );
}
