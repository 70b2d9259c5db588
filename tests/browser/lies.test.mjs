// Every lie that can be told over JSON-RPC, as the page shows it: red, the block and the claim named, and nothing of it served.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { buildPages, hasPackage, openBrowser, openDevnet, rpc, until } from "./page-world.mjs";

/** Blocks from where a lie is told to the end: in these every kind finds what it is about. */
const BLOCKS = 70;
const FIRST = 12;
/** Lies about the end of a batch: its last block is true. */
const BEHIND = ["batch-state-root", "local-exit-root"];

/**
 * What a replica that catches up meets in another form than one that is at the tip: a closed batch has the leaf in its data,
 * and the block's exit root contradicts it.
 */
const CONTRADICTION = { "global-exit-root": "globalExitRoot: expected that of the leaf in its data" };

const reason = hasPackage ? false : "SKIPPED: the package in wasm/npm is not built";

describe("a lie over JSON-RPC", { skip: reason }, () => {
  let pages;
  let browser;
  let world;
  let kinds;

  before(async () => {
    pages = buildPages();
    browser = await openBrowser();
    world = await openDevnet(pages, "--traffic", "150", "--block-time", "0.02", "--blocks", String(BLOCKS));
    await until("the chain is there", async () => Number(await rpc(world.devnet, "eth_blockNumber")) >= BLOCKS);
    kinds = await rpc(world.devnet, "devnet_listLies");
  });

  after(async () => {
    await browser?.close();
    await world?.close();
    for (const page of new Set(Object.values(pages ?? {}))) rmSync(page, { recursive: true });
  });

  /** A person who has never been here, while the lie is told. That it goes on with the truth is tested with the page. */
  async function meet(kind, look) {
    await rpc(world.devnet, "devnet_lie", kind, FIRST);
    const [lie] = await rpc(world.devnet, "devnet_lies");
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      await page.goto(world.url);
      await look(page, lie);
    } finally {
      await rpc(world.devnet, "devnet_honest");
      await context.close();
    }
  }

  const verified = async (page) => {
    const figure = page.locator(".figures > div").filter({ has: page.locator("dt", { hasText: /^Verified$/ }) });
    return Number(await figure.locator("dd").innerText());
  };

  test("is shown for what it is, of each kind", async (suite) => {
    for (const { kind } of kinds.filter(({ kind, overRpc }) => overRpc === "told" && !CONTRADICTION[kind])) {
      await suite.test(kind, () =>
        meet(kind, async (page, lie) => {
          await page
            .getByRole("heading", { level: 1, name: `The main node is wrong about block ${lie.caughtAt}.` })
            .waitFor();
          assert.equal(await page.locator(".mismatch .where strong").innerText(), lie.claim);
          const [said, found] = await page.locator(".mismatch .difference dd").allInnerTexts();
          assert.notEqual(said, found);
          const last = BEHIND.includes(kind) ? lie.toldAt : lie.toldAt - 1;
          assert.equal(await verified(page), last);
          await page.goto(`${world.url}#/evidence/now`);
          await page.locator(".judgement .difference").waitFor();
          assert.deepEqual((await page.locator(".judgement .difference dd").allInnerTexts()).slice(0, 2), [
            said,
            found,
          ]);
          await page.goto(`${world.url}#/block/${last + 1}`);
          await page
            .locator(".view-head .badge")
            .filter({ hasText: /Refused|Not verified/ })
            .waitFor();
          await page.goto(`${world.url}#/`);
        }),
      );
    }
  });

  test("that contradicts itself leaves nothing to check, and says so", async (suite) => {
    for (const { kind, overRpc } of kinds) {
      const words = CONTRADICTION[kind] ?? overRpc.unsound;
      if (!words) continue;
      await suite.test(kind, () =>
        meet(kind, async (page, lie) => {
          await page.locator(".notice.wrong").filter({ hasText: words }).waitFor();
          assert.ok((await verified(page)) < lie.toldAt);
          // What stands before it is verified first, connection by connection: the words come again.
          await page.locator("#state").filter({ hasText: "Main node is wrong" }).waitFor();
        }),
      );
    }
  });
});
