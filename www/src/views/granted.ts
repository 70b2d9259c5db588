// What evidence takes for granted, held against what this device has verified itself.
//
// A block's hash says nothing of what else the file states: no header is in it. So a mark is green only where every part
// of a statement is what was verified here.

import type { Anchor, Judgement } from "../contract";
import { h } from "../dom";
import { count, whole } from "../format";
import { badge, exact, facts } from "../parts";
import type { Session } from "../session";

/** Etrog: the first fork in which exit roots come in with blocks only: a block's state root is the state behind it. */
const ETROG = 7;

/** Plain: no mark. */
type Verdict = { trust: "verified" | "given" | "wrong" | "unknown" | "plain"; mark?: string; words: string };

const RULES: Verdict = { trust: "plain", words: "This device follows that chain by the same forks." };
const SAME: Verdict = { trust: "verified", words: "This device has verified the same itself." };
const ELSEWHERE: Verdict = {
  trust: "unknown",
  mark: "Not known here",
  words: "This device has not verified that, or follows another chain. Compare it with a source that you believe.",
};

/** A list item for each thing. `bytes` are the file's, which the check has read already. */
export async function granted(
  session: Session | null,
  judgement: Judgement,
  bytes: Uint8Array,
  heard: boolean,
): Promise<HTMLElement[]> {
  const file = read(bytes);
  const ours = session !== null && judgement.chainId === session.status.chainId ? session : null;
  // What is heard here is written here, from what this replica has verified.
  const rules = heard ? RULES : await attempt(() => sameRules(ours, file));
  // By other rules, nothing that was verified here is the same.
  const known = rules.trust === "plain" ? ours : null;
  const anchors = await Promise.all(
    judgement.anchors.map(async (anchor) =>
      item(...said(anchor), await attempt(() => compare(known, anchor, file, heard))),
    ),
  );
  const which = judgement.chainId === null ? "a chain" : `chain ${judgement.chainId}`;
  return [
    ...anchors,
    item(`It is about ${which}, by the rules of the forks that the file names.`, null, rules),
    item("The main node said this, and at this point.", null, {
      trust: heard ? "verified" : "unknown",
      mark: heard ? "Heard here" : "The file’s word",
      words: heard
        ? "This device was told so itself."
        : "No main node signs what it says, so no file can show it. Ask the main node, or somebody who follows it.",
    }),
  ];
}

function item(words: string, details: HTMLElement | null, { trust, mark, words: verdict }: Verdict): HTMLElement {
  return h(
    "li",
    {},
    h("p", {}, words),
    details,
    h("p", {}, trust === "plain" ? null : badge(trust, mark), ` ${verdict}`),
  );
}

/** What cannot be asked is not known. */
const attempt = (ask: () => Promise<Verdict>): Promise<Verdict> => ask().catch(() => ELSEWHERE);

/** The statement in words, and its particulars. */
function said(anchor: Anchor): [words: string, details: HTMLElement | null] {
  switch (anchor.kind) {
    case "genesis":
      return [`The chain begins with the ${count(anchor.accounts, "account")} in the file.`, null];
    case "repeated":
      return [
        `Batch ${whole(anchor.batch)} was verified earlier, and this was the state behind it.`,
        facts(["State root", exact(anchor.stateRoot, "state root")]),
      ];
    case "known":
      return [
        `Block ${whole(anchor.number)} was verified, in batch ${whole(anchor.batch)} by the rules of fork ${anchor.forkId}.`,
        facts(
          ["Hash", exact(anchor.hash, "block hash")],
          ["Block info root", exact(anchor.blockInfoRoot, "block info root")],
        ),
      ];
    case "parent":
      return [
        `Block ${whole(anchor.number)} is part of the chain, with this hash and time, and with this state behind it. Batch ${whole(anchor.batch)}, by the rules of fork ${anchor.forkId}, is ${anchor.batchClosed ? "closed" : "open"} there.`,
        facts(
          ["Hash", exact(anchor.hash, "block hash")],
          ["State root", exact(anchor.stateRoot, "state root")],
          ["Timestamp", String(anchor.timestamp)],
        ),
      ];
  }
}

async function compare(session: Session | null, anchor: Anchor, file: Parts, heard: boolean): Promise<Verdict> {
  if (anchor.kind === "genesis")
    return {
      trust: "unknown",
      mark: "Not compared",
      words: "Compare them with the genesis file that you believe.",
    };
  if (!session) return ELSEWHERE;
  if (heard && anchor.kind === "parent" && anchor.number === session.config.checkpoint?.number)
    return { trust: "given", words: "It is the checkpoint that you chose." };
  if (heard) return SAME;
  if (anchor.kind === "repeated") {
    const batch = await session.chain.batch(anchor.batch);
    if (!batch?.content?.closed || batch.forkId < ETROG) return ELSEWHERE;
    return batch.content.stateRoot === anchor.stateRoot ? SAME : ELSEWHERE;
  }
  const [block, batch] = await Promise.all([session.chain.block(anchor.number), session.chain.batchOf(anchor.number)]);
  if (!block || !batch) return ELSEWHERE;
  const { content } = batch;
  const place = anchor.batch === batch.number && anchor.forkId === batch.forkId;
  const fits: [what: string, same: boolean | null][] =
    anchor.kind === "known"
      ? [["block info root", block.fields.blockInfoRoot === anchor.blockInfoRoot]]
      : [
          ["state root", block.stateRoot === anchor.stateRoot && batch.forkId >= ETROG],
          [
            "end of the batch",
            content && isThere(anchor.batchClosed, content.closed && content.blocks.at(-1) === block.hash, file),
          ],
        ];
  if (block.hash !== anchor.hash)
    return {
      trust: "wrong",
      mark: "Another block",
      words: "The block that this device has verified has another hash.",
    };
  // The hash fixes it: no block with this hash has another one.
  if (anchor.kind === "parent" && block.timestamp !== anchor.timestamp)
    return { trust: "wrong", mark: "Altered", words: "The block with this hash has another timestamp." };
  const other = [["batch", place] as const, ...fits].filter(([, same]) => !same).map(([what]) => what);
  if (other.length === 0) return SAME;
  return {
    trust: "unknown",
    mark: "Not known here",
    words: `The hash is that of a block that this device has verified, but not all that the file says with it was found here: ${other.join(", ")}. Anyone can write that beside a true hash.`,
  };
}

/** Only the end of a batch itself is checked while the batch is open behind its last block. */
function isThere(said: boolean, closed: boolean, { input }: Parts): boolean {
  return said === closed || (!said && closed && "batchEnd" in input);
}

async function sameRules(session: Session | null, { chain }: Parts): Promise<Verdict> {
  if (!session) return ELSEWHERE;
  const forks = await session.chain.forks();
  const plain = (list: typeof forks) => JSON.stringify(list.map((fork) => [fork.forkId, fork.fromBatchNumber]));
  if (plain(forks) === plain(chain.forks)) return RULES;
  return {
    trust: "unknown",
    mark: "Other rules",
    words: "This device verifies by other forks. Compare them with the chain’s specification.",
  };
}

/** The parts of docs/evidence.md's form that are compared here. */
interface Parts {
  chain: { forks: { forkId: number; fromBatchNumber: number }[] };
  input: object;
}

const read = (bytes: Uint8Array): Parts => JSON.parse(new TextDecoder().decode(bytes)) as Parts;
