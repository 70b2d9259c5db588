// A file of evidence is executed again, here: who is right?

import type { Anchor, CheckEvidence, Judgement, Mismatch } from "../contract";
import { fill, h } from "../dom";
import { count, sentence, whole } from "../format";
import { announce, badge, difference, exact, facts, notice, reason } from "../parts";
import type { Session } from "../session";
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

  async function judge(file: File): Promise<void> {
    fill(outcome, h("p", { class: "asking" }, `Executing ${file.name} again…`));
    try {
      if (file.size > LONGEST)
        throw new Error(`the file has ${whole(file.size)} bytes; no evidence is longer than ${whole(LONGEST)}`);
      const bytes = new Uint8Array(await file.arrayBuffer());
      const judgement = await (session ? session.replica.checkEvidence(bytes) : check(bytes));
      const anchors = await Promise.all(judgement.anchors.map((anchor) => anchorItem(session, judgement, anchor)));
      fill(outcome, result(file, judgement, anchors));
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
    fill(present, halted && presentNotice(session, halted));
    if (halted && now) {
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
    if (bytes) await judge(new File([bytes as BlobPart], `evidence-block-${block}.json`));
    else fill(outcome, notice("word", "There is no evidence.", "The main node is not wrong about anything now."));
  }

  update();
  return { title: "Evidence", element, update };
}

function result(file: File, judgement: Judgement, anchors: HTMLElement[]): HTMLElement {
  const named = h("p", { class: "as-of" }, `${file.name}, ${count(file.size, "byte")}`);
  if (judgement.verdict === "refused") {
    return notice(
      "word",
      "This file is no evidence of anything.",
      h("p", {}, `It was forged, altered or cut short. ${sentence(judgement.reason ?? "no reason is given")}`),
      named,
    );
  }
  const granted = h(
    "section",
    {},
    h("h2", {}, "What this takes for granted"),
    h("ul", { class: "anchors" }, ...anchors),
    chainLine(judgement),
  );
  const { mismatch } = judgement;
  if (judgement.verdict === "true" || !mismatch) {
    return notice(
      "plain",
      "What the main node says is true.",
      h("p", {}, "Executed again, the file shows no mismatch."),
      granted,
      named,
    );
  }
  return notice(
    "plain",
    "The main node is wrong.",
    h(
      "p",
      { class: "where" },
      `Block ${whole(mismatch.block)}, batch ${whole(mismatch.batch)}: `,
      h("strong", {}, mismatch.claim),
    ),
    difference(mismatch),
    granted,
    named,
  );
}

/** The chain id and the forks in the file are claims as well. */
function chainLine({ chainId }: Judgement): HTMLElement {
  const which = chainId === null ? "a chain" : `chain ${chainId}`;
  return h(
    "p",
    { class: "as-of" },
    `The file is about ${which}, by the rules of the forks that it names. Compare them with the chain’s specification.`,
  );
}

async function anchorItem(session: Session | null, { chainId }: Judgement, anchor: Anchor): Promise<HTMLElement> {
  if (anchor.kind === "genesis")
    return h("li", {}, `The chain begins with the ${count(anchor.accounts, "account")} in the file.`);
  if (anchor.kind === "repeated")
    return h(
      "li",
      {},
      h("p", {}, `Batch ${whole(anchor.batch)} was verified earlier, and this was the state behind it.`),
      facts(["State root", exact(anchor.stateRoot, "state root")]),
    );
  const ours = session && chainId === session.status.chainId;
  const known = ours ? await session.chain.block(anchor.number).catch(() => null) : null;
  const verdict =
    known === null
      ? h(
          "p",
          {},
          badge("unknown", "Not known here"),
          " This device has not verified that block, or follows another chain. Compare the hash with a source that you believe.",
        )
      : known.hash === anchor.hash
        ? h("p", {}, badge("verified"), " This device has verified the same block itself.")
        : h(
            "p",
            {},
            badge("wrong", "Another block"),
            " The block that this device has verified at this number has another hash.",
          );
  const words =
    anchor.kind === "parent" ? "is part of the chain, with this hash and state root." : "was verified, with this hash.";
  return h(
    "li",
    {},
    h("p", {}, `Block ${whole(anchor.number)} ${words}`),
    facts(
      ["Hash", exact(anchor.hash, "block hash")],
      anchor.kind === "parent" ? ["State root", exact(anchor.stateRoot, "state root")] : null,
    ),
    verdict,
  );
}
