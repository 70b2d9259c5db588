// What `make demo` shows: a server that verifies a devnet, and a page of that server in which a tab verifies it, too, and
// compares it with the devnet's L1.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openBrowser, rpc, start, until } from "./page-world.mjs";

const PAGE = fileURLToPath(new URL("../../www/dist", import.meta.url));
/** The first account of the devnet with seed 0. */
const HOLDER = "0x178f5b2A069A8c7da332AB03F641e8bE68f331dB";

const missing = existsSync(`${PAGE}/zk-replica.wasm`) ? false : "SKIPPED: the page is not built: make page";

describe("the demonstration", { skip: missing }, () => {
  let demo;
  let browser;
  before(async () => {
    const options = ["--http", "127.0.0.1:0", "--page", PAGE, "--block-time", "0.5", "--traffic", "5"];
    demo = await start(["demo", ...options], {
      devnet: /JSON-RPC (http:\S+)/,
      l1: /^L1 (http:\S+)/,
      server: /serving Web3 at (http:\S+)/,
      page: /the page is at (http:\S+)/,
    });
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await demo?.stop();
  });

  test("is verified in a tab beside its server, block by block, and has its balances", async () => {
    const page = await browser.newPage();
    const [wrongs, asked] = [[], new Set()];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) wrongs.push(message.text());
    });
    page.on("pageerror", (error) => wrongs.push(String(error)));
    page.context().on("request", (request) => asked.add(new URL(request.url()).origin));
    await page.goto(demo.page);
    // The tab has an engine of its own, and it asks the main node.
    await page.getByRole("heading", { level: 1, name: /^Block [\d,]+ is verified\.$/ }).waitFor({ timeout: 60_000 });
    assert.equal(page.workers().length, 1);
    const place = async () => Number((await page.locator("table.blocks tbody th").first().innerText()).replaceAll(",", ""));
    await page.locator("table.blocks tbody tr").first().waitFor();
    const first = await place();
    await until("blocks come", async () => (await place()) >= first + 3);
    const [number, root] = await page
      .locator("table.blocks tbody tr")
      .first()
      .evaluate((row) => [
        Number(row.querySelector("th").innerText.replaceAll(",", "")),
        row.querySelector("code").title,
      ]);
    const theirs = async (number) => rpc(demo.server, "eth_getBlockByNumber", `0x${number.toString(16)}`, false);
    await until("the server has verified the block, too", async () => (await theirs(number)) !== null);
    assert.equal(root, (await theirs(number)).stateRoot);

    const proved = page.locator(".figures dd").filter({ hasText: /^to block [\d,]+$/ });
    await proved.waitFor({ timeout: 60_000 });

    await page.getByRole("search").getByRole("textbox").fill(HOLDER);
    await page.keyboard.press("Enter");
    await page.locator(".balance").filter({ hasText: "ETH" }).waitFor();
    const [shown, at] = await page.evaluate(() => [
      document.querySelector(".balance").innerText,
      Number(/State after block ([\d,]+)/.exec(document.querySelector(".as-of").innerText)[1].replaceAll(",", "")),
    ]);
    await until("the server has verified this block, too", async () => (await theirs(at)) !== null);
    const balance = BigInt(await rpc(demo.server, "eth_getBalance", HOLDER, `0x${at.toString(16)}`));
    const digits = String(balance).padStart(19, "0");
    const fraction = digits.slice(-18).replace(/0+$/, "");
    const whole = Number(digits.slice(0, -18)).toLocaleString("en");
    assert.equal(shown, `${fraction ? `${whole}.${fraction}` : whole} ETH`);
    await page.getByRole("button", { name: "Show what is proved on L1" }).click();
    await page.locator(".trail > li.final").filter({ hasText: "with this state root. It covers this state." }).waitFor();
    assert.equal((await page.locator(".card-head .badge").first().innerText()).trim(), "Proved on L1");
    assert.deepEqual(wrongs, []);
    assert.deepEqual([...asked].sort(), [demo.devnet, demo.l1, demo.page].map((url) => new URL(url).origin).sort());
  });
});
