// What L1 has proved, as the page shows it: agreement, another state, silence. L1 is asked every 12 seconds.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { endOf, l1Node, MANAGER, ROLLUP } from "./l1-node.mjs";
import { buildPages, hasPackage, openBrowser, openDevnet, rpc, sound, until } from "./page-world.mjs";

/** The first account of the devnet with seed 0. */
const HOLDER = "0x178f5b2A069A8c7da332AB03F641e8bE68f331dB";
const ONES = `0x${"01".repeat(32)}`;
/** Blocks of the devnet: batch 1 has one, those behind it ten. */
const last = (batch) => 10 * batch - 9;

const reason = hasPackage ? false : "SKIPPED: the package in wasm/npm is not built";

describe("the page beside an L1 node", { skip: reason }, () => {
  let pages, browser, world, l1, page;

  before(async () => {
    pages = buildPages();
    browser = await openBrowser();
    world = await openDevnet(pages, "--traffic", "100", "--block-time", "0.05", "--blocks", "25");
    await until("the chain is there", async () => Number(await rpc(world.devnet, "eth_blockNumber")) >= 25);
    l1 = await l1Node(31337, world.devnet);
    l1.prove(await endOf(world.devnet, 2));
    world.setMore({
      genesis: "chain/genesis-allocs.json",
      l1: { url: l1.url, rollupManager: MANAGER, rollupId: ROLLUP, block: "latest" },
    });
    page = await (await browser.newContext({ viewport: { width: 1280, height: 860 } })).newPage();
    await page.goto(world.url);
  });

  after(async () => {
    await browser?.close();
    await l1?.close();
    await world?.close();
    for (const page of new Set(Object.values(pages ?? {}))) rmSync(page, { recursive: true });
  });

  const heading = (name) => page.getByRole("heading", { level: 1, name }).waitFor({ timeout: 60_000 });
  const figure = async (name) => {
    const place = page.locator(".figures > div").filter({ has: page.locator("dt", { hasText: name }) });
    return (await place.locator("dd").innerText()).trim();
  };
  const state = () => page.locator("#state").innerText();
  const trail = () => page.locator(".trail h3").allInnerTexts();
  const step = (name) =>
    page
      .locator(".trail > li")
      .filter({ has: page.locator("h3", { hasText: new RegExp(`^${name}`) }) })
      .locator("> div")
      .first()
      .innerText();
  const lookUp = async () => {
    await page.goto(`${world.url}#/address/${HOLDER.toLowerCase()}`);
    await page.locator(".balance").filter({ hasText: "ETH" }).waitFor();
  };
  const balanceAt = async (block) => BigInt(await rpc(world.devnet, "eth_getBalance", HOLDER, `0x${block.toString(16)}`));
  const shown = async () => {
    const [whole, fraction = ""] = (await page.locator(".balance .digits").innerText()).replaceAll(",", "").split(".");
    return BigInt(whole + fraction.padEnd(18, "0"));
  };

  test("shows how far L1 has proved what it verified", async () => {
    await heading("Block 25 is verified.");
    await until("the frontier is shown", async () => (await figure("Proved on L1")) === `to block ${last(2)}`);
    assert.equal(l1.asked[0][1], "latest");
    await sound(page, "the overview beside L1");
  });

  test("begins the chain of evidence with L1 where L1 covers the state, and says how far it is behind elsewhere", async () => {
    await lookUp();
    await page.getByText("State after block 25").waitFor();
    assert.deepEqual((await trail()).slice(0, 2).map((line) => line.replaceAll("\n", " ")), ["Genesis Your choice", "L1 Behind"]);
    const has = `L1 block 1,001 has batch 2, up to block ${last(2)}, proved with`;
    assert.equal(await step("L1"), `${has} the state root computed here. This state is 14 blocks newer: L1 does not cover it yet.`);
    assert.equal(await shown(), await balanceAt(25));

    await page.getByRole("button", { name: "Show what is proved on L1" }).click();
    await page.getByText(`State after block ${last(2)}`).waitFor();
    assert.deepEqual((await trail()).slice(0, 2).map((line) => line.replaceAll("\n", " ")), ["L1 Final", "Genesis Your choice"]);
    assert.equal(await step("L1"), `${has} this state root. It covers this state.`);
    assert.equal((await page.locator(".card-head .badge").first().innerText()).trim(), "Proved on L1");
    assert.equal(await shown(), await balanceAt(last(2)));
    assert.notEqual(await balanceAt(last(2)), await balanceAt(25));
    const { stateRoot } = await rpc(world.devnet, "eth_getBlockByNumber", `0x${last(2).toString(16)}`, false);
    assert.equal(await page.locator(".trail .exact code").first().innerText(), stateRoot);
    await sound(page, "an account that L1 covers");
    await page.getByRole("button", { name: "Show what is proved on L1" }).click();
    await page.getByText("State after block 25").waitFor();
  });

  test("shows in red what L1 has otherwise, serves nothing more, and goes on when they agree", async () => {
    await page.goto(`${world.url}#/`);
    const end = await endOf(world.devnet, 3);
    l1.prove({ ...end, stateRoot: ONES });
    await heading(`L1 has another state after block ${last(3)}.`);
    assert.equal(await state(), "L1 disagrees");
    assert.equal(await page.locator(".mismatch .where strong").innerText(), "state root proved on L1");
    assert.equal(await page.locator(".mismatch .difference dt").first().innerText(), "L1 says: state root proved on L1");
    assert.deepEqual(await page.locator(".mismatch .difference dd").allInnerTexts(), [ONES, end.stateRoot]);
    // There is nothing of it that could be executed again.
    assert.equal(await page.getByRole("button", { name: "Download the evidence" }).count(), 0);
    await sound(page, "another state on L1");
    await rpc(world.devnet, "devnet_mine", 5);
    await page.waitForTimeout(6000);
    assert.deepEqual([await figure(/^Verified$/), await figure("Proved on L1")], ["25", `to block ${last(2)}`]);
    await page.goto(`${world.url}#/block/${last(3)}`);
    await page.getByText("L1 has another state here.").waitFor();
    await page.goto(`${world.url}#/block/26`);
    await page.locator(".view-head .badge").filter({ hasText: "Not verified" }).waitFor();
    await page.goto(`${world.url}#/`);
    l1.prove(end);
    await heading("Block 30 is verified.");
    await until("more is proved", async () => (await figure("Proved on L1")) === `to block ${last(3)}`);
    assert.equal(await state(), "Verified to block 30");
  });

  test("says that L1 is silent, and verifies all the same", async () => {
    l1.instead = (response) => response.writeHead(503, { "access-control-allow-origin": "*" }).end();
    await page.locator(".notice").filter({ hasText: "L1 does not answer" }).filter({ hasText: "status 503" }).waitFor();
    await page.locator(".notice").filter({ hasText: `up to block ${last(3)} stays final` }).waitFor();
    await rpc(world.devnet, "devnet_mine", 1);
    await heading("Block 31 is verified.");
    await sound(page, "a silent L1");
    l1.instead = undefined;
    await page.locator(".notice").waitFor({ state: "detached", timeout: 30_000 });
  });

  test("takes L1 from a link after it was asked, and from the form", async () => {
    const tab = await browser.newPage();
    const chain = `chain=chain/chainspec.json&genesis=chain/genesis-allocs.json&mainNode=${world.devnet}`;
    await tab.goto(`${world.url}?${chain}&l1=${l1.url}&rollup=${MANAGER},${ROLLUP}`);
    await tab.getByRole("heading", { level: 1, name: "This link names another chain than this page." }).waitFor();
    const row = (name) => tab.locator(".facts > div").filter({ has: tab.locator("dt", { hasText: name }) }).innerText();
    assert.match(await row("L1 node"), new RegExp(l1.url));
    assert.match(await row("Rollup on L1"), new RegExp(`${MANAGER}, number 1, finalized block\\s+this page’s own: .* latest block`));
    for (const [wrong, words] of [
      [`l1=${l1.url}`, "A rollup on L1 is its manager’s address"],
      [`l1=${l1.url}&rollup=${MANAGER},0`, "A rollup on L1 is its manager’s address"],
      [`l1=ftp://x&rollup=${MANAGER},1`, "The L1 node's address is not an http or https address"],
      [`l1=${l1.url}&rollup=${MANAGER},1&l1Block=pending`, "is finalized, safe or latest"],
    ]) {
      await tab.goto(`${world.url}?${chain}&${wrong}`);
      await tab.locator(".notice").filter({ hasText: words }).waitFor();
    }
    const light = `${chain.replace(/genesis=[^&]*/, `checkpoint=1,${ONES},${ONES}`)}&l1=${l1.url}&rollup=${MANAGER},1`;
    await tab.goto(`${world.url}?${light}`);
    await tab.locator(".notice").filter({ hasText: "With a checkpoint, nothing is compared with L1" }).waitFor();
    const at = { mainNode: world.devnet, chain: `${world.url}chain/chainspec.json`, genesis: `${world.url}chain/genesis-allocs.json` };
    await tab.goto(`${world.url}#/setup`);
    await tab.reload();
    for (const [name, value] of Object.entries({ ...at, l1: l1.url })) await tab.locator(`#setup-${name}`).fill(value);
    await tab.getByRole("button", { name: "Verify this chain" }).click();
    await tab.getByRole("alert").filter({ hasText: "A rollup on L1 is its manager’s address" }).waitFor();
    assert.equal(await tab.evaluate(() => document.activeElement.id), "setup-rollup");
    await sound(tab, "the form with L1");
    await tab.locator("#setup-rollup").fill(`${MANAGER},${ROLLUP}`);
    await tab.getByRole("button", { name: "Verify this chain" }).click();
    await tab.getByRole("heading", { level: 1, name: "Block 31 is verified." }).waitFor({ timeout: 60_000 });
    await tab.locator(".figures dd").filter({ hasText: `to block ${last(3)}` }).waitFor();
    await tab.close();
  });
});
