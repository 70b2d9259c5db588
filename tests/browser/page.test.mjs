// The page in Chromium: what a person does with it, and what they may never see.
//
// The chain stands still at a block unless a test mines, so that every value can be compared exactly.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  buildPages,
  hasPackage,
  hasRecording,
  openBrowser,
  openDevnet,
  openRecording,
  rpc,
  sound,
  until as is,
} from "./page-world.mjs";

/** The first account of the devnet with seed 0, and the token that its traffic moves. */
const HOLDER = "0x178f5b2A069A8c7da332AB03F641e8bE68f331dB";
const TOKEN = "0xf4e4012046304812b55b59bf36be52c7c71c0467";
const BLOCKS = 40;
const DESK = { width: 1280, height: 860 };
const PHONE = { width: 360, height: 740 };

let pages;
let browser;
const worlds = [];

before(async () => {
  pages = buildPages();
  if (!hasPackage)
    console.log("SKIPPED: the page as it is shipped: the package in wasm/npm is not built; the test engine stands in");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await Promise.all(worlds.map((world) => world.close()));
  for (const page of new Set(Object.values(pages ?? {}))) rmSync(page, { recursive: true });
});

async function open() {
  const options = ["--traffic", "5", "--block-time", "0.05", "--blocks", String(BLOCKS)];
  const world = await openDevnet(pages, ...options);
  worlds.push(world);
  await until(async () => Number(await rpc(world.replica, "eth_blockNumber").catch(() => 0)) >= BLOCKS);
  return world;
}

/** A tab of a person who has never been here. What must not happen is looked at when it is closed. */
async function visit(
  world,
  path = "",
  { viewport = DESK, colorScheme = "light", allow = [], scripted = false, prepare } = {},
) {
  const home = scripted ? world.scripted : world.url;
  const context = await browser.newContext({ viewport, colorScheme, acceptDownloads: true });
  const page = await context.newPage();
  const wrongs = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()))
      wrongs.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => wrongs.push(`page: ${error.stack}`));
  context.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol === "blob:" || protocol === "data:") return;
    if (![new URL(home).origin, world.devnet, ...allow].includes(origin)) wrongs.push(`asked ${request.url()}`);
  });
  await prepare?.(page);
  await page.goto(home + path);
  page.leave = async () => {
    await context.close();
    const unexpected = wrongs.filter(
      (wrong) => !allow.some((pattern) => pattern instanceof RegExp && pattern.test(wrong)),
    );
    assert.deepEqual(unexpected, []);
  };
  return page;
}

const until = (holds) => is(holds.toString(), holds);

const heading = (page, text) => page.getByRole("heading", { level: 1, name: text }).waitFor();
const text = (page, selector) => page.locator(selector).first().innerText();

async function lookUp(page, what) {
  await page.getByRole("search").getByRole("textbox").fill(what);
  await page.keyboard.press("Enter");
}

describe("a chain that is verified", () => {
  let world;
  before(async () => (world = await open()));

  test("is shown with progress, rate and time left, and then as verified", async () => {
    const page = await visit(world, "?test-speed=20&mainNode=" + query(world), { scripted: true });
    await heading(page, /^Verifying block \d+ of 40\.$/);
    const bar = page.getByRole("progressbar", { name: "Blocks verified" });
    await until(async () => Number(await bar.getAttribute("value")) > 0);
    assert.match(await text(page, "#state"), /^Verifying, \d+%$/);
    await until(async () => /^[\d.]+ blocks\/s$/.test(await figure(page, "Rate")));
    assert.match(await figure(page, "Time left"), /^\d+ s$/);
    await heading(page, "Block 40 is verified.");
    assert.equal(await text(page, "#state"), "Verified to block 40");
    assert.equal(await figure(page, "Main node"), "40");
    assert.match(await figure(page, "Newest block"), /^[\d,]+ days ago$/);
    assert.equal(await bar.isVisible(), false);
    const rows = page.locator("table.blocks tbody tr");
    await until(async () => (await rows.count()) === 20 && (await rows.first().innerText()).startsWith("40"));
    const block = await rpc(world.devnet, "eth_getBlockByNumber", "0x28", false);
    assert.equal(await rows.first().locator("code").getAttribute("title"), block.stateRoot);
    assert.equal(await page.locator(".ribbon .done").count(), 41);
    await page.leave();
  });

  test("answers for an address, with the keyboard alone", async () => {
    const page = await visit(world);
    await heading(page, /is verified/);
    await page.keyboard.press("/");
    await page.keyboard.type(HOLDER);
    await page.keyboard.press("Enter");
    await heading(page, HOLDER);
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
    assert.equal(await page.title(), "Account 0x178f5b… · zk-replica");
    const balance = BigInt(await rpc(world.devnet, "eth_getBalance", HOLDER, "latest")).toString();
    await until(async () => (await text(page, ".balance")).includes("ETH"));
    assert.equal(await text(page, ".balance"), `${decimal(balance, 18)} ETH`);
    assert.equal(
      (await text(page, ".rows")).replace(/\s+/g, " "),
      `Nonce ${Number(await rpc(world.devnet, "eth_getTransactionCount", HOLDER, "latest"))} Verified here Code None Verified here`,
    );
    const steps = await page.locator(".trail > li h3").allInnerTexts();
    assert.deepEqual(
      steps.map((step) => step.replace(/\s+/g, " ")),
      ["Genesis Your choice", "L1 Not asked", "Batch 5 Open", "Block 40 Executed here", "Proof Hashes fit"],
    );
    const head = await rpc(world.devnet, "eth_getBlockByNumber", "latest", false);
    assert.equal(await text(page, ".trail .exact code"), head.stateRoot);
    await page.getByText("The paths, node by node").focus();
    await page.keyboard.press("Enter");
    const proof = await rpc(world.replica, "zkevm_getProof", HOLDER, [], "latest");
    assert.deepEqual(
      await page.locator(".trail details div:first-of-type li code").allInnerTexts(),
      proof.balanceProof,
    );
    await page.leave();
  });

  test("answers for tokens that one names", async () => {
    const page = await visit(world, `#/address/${HOLDER}`);
    await page.getByText(`State after block ${BLOCKS}`).waitFor();
    const field = page.getByLabel("Add a token by the address of its contract");
    await field.fill("0x12");
    await field.press("Enter");
    await page.getByRole("alert").filter({ hasText: "40 hexadecimal digits" }).waitFor();
    await field.fill(HOLDER);
    await field.press("Enter");
    await page.getByRole("alert").filter({ hasText: "not an ERC-20 token" }).waitFor();
    await field.fill(TOKEN);
    await field.press("Enter");
    const row = page.locator(".tokens li").filter({ hasText: "DEV" });
    await row.waitFor();
    const held = await rpc(
      world.devnet,
      "eth_call",
      { to: TOKEN, data: `0x70a08231${HOLDER.slice(2).padStart(64, "0")}` },
      "latest",
    );
    assert.equal(await row.locator(".token-amount").innerText(), `${decimal(BigInt(held).toString(), 18)} DEV`);
    assert.match(await row.innerText(), /Verified here/);
    await page.reload();
    await row.waitFor();
    await row.getByRole("button", { name: "Remove DEV" }).click();
    await page.getByText("None yet.").waitFor();
    await page.leave();
  });

  test("says what is wrong with what was typed", async () => {
    const page = await visit(world);
    await heading(page, /is verified/);
    await lookUp(page, "vitalik");
    await page.getByRole("alert").filter({ hasText: "An address is 0x and 40 hexadecimal digits" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-invalid")), "true");
    await lookUp(page, HOLDER.replace("A069A8c7", "A069A8C7"));
    await page.getByRole("alert").filter({ hasText: "its capitals do not fit" }).waitFor();
    await lookUp(page, `0x${"ab".repeat(32)}`);
    await heading(page, "Not found");
    await lookUp(page, "999");
    await page.getByText("What it has not verified it does not show.").waitFor();
    await page.goto(`${world.url}#/no/such/place`);
    await heading(page, "Not found");
    await page.leave();
  });

  test("shows a block: claims, transactions, receipts, logs", async () => {
    const page = await visit(world);
    await heading(page, /is verified/);
    const number = await blockWithLog(world);
    await lookUp(page, String(number));
    await heading(page, `Block ${number}`);
    const block = await rpc(world.devnet, "zkevm_getFullBlockByNumber", `0x${number.toString(16)}`, true);
    const claims = page.locator("table.claims tbody tr");
    await until(async () => (await claims.count()) === 12);
    assert.equal(await claims.filter({ hasText: "State root" }).locator("code").innerText(), block.stateRoot);
    assert.equal(
      await claims.filter({ hasText: "Gas used" }).locator("code").innerText(),
      String(Number(block.gasUsed)),
    );
    await page.getByRole("button", { name: "Ask the main node again" }).click();
    await page.getByText("claims what was computed here: 12 of 12 values.").waitFor();
    const logged = block.transactions.find(({ receipt }) => receipt.logs.length > 0);
    await lookUp(page, logged.hash);
    const item = page.locator(`#transaction-${Number(logged.transactionIndex)}`);
    await item.locator("dl").first().waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "SUMMARY");
    const words = await item.innerText();
    for (const part of [
      logged.hash,
      logged.from,
      logged.to,
      logged.input,
      ...logged.receipt.logs[0].topics,
      logged.receipt.logs[0].data,
    ]) {
      assert.ok(words.includes(part), part);
    }
    assert.match(words, /Transfer, if the contract keeps to ERC-20/);
    await page.getByRole("link", { name: `← Block ${number - 1}` }).click();
    await heading(page, `Block ${number - 1}`);
    await page.goBack();
    await heading(page, `Block ${number}`);
    await page.leave();
  });

  test("shows a block of many transactions piece by piece", async () => {
    const prepare = (page) =>
      page.route("**/engine/rpc", async (route) => {
        if (!route.request().postData().includes("zkevm_getFullBlockByNumber")) return route.continue();
        const answer = await (await route.fetch()).json();
        const [one] = answer.result.transactions;
        answer.result.transactions = Array.from({ length: 120 }, (_, index) => ({
          ...one,
          transactionIndex: `0x${index.toString(16)}`,
        }));
        await route.fulfill({ json: answer });
      });
    const page = await visit(world, "", { scripted: true, prepare });
    await heading(page, /is verified/);
    const number = await blockWithLog(world);
    await lookUp(page, String(number));
    const items = page.locator(".transactions > details");
    await until(async () => (await items.count()) === 50);
    await page.getByRole("button", { name: "Show 50 more" }).click();
    await page.getByRole("button", { name: "Show 20 more" }).click();
    assert.equal(await items.count(), 120);
    assert.equal(await page.getByRole("button", { name: /^Show / }).count(), 0);
    await page.leave();
  });

  test("can be walked through with the Tab key", async () => {
    const page = await visit(world);
    await heading(page, "Block 40 is verified.");
    // The list is brought up to date less often than the rest.
    await until(async () => (await text(page, "table.blocks tbody tr")).startsWith("40"));
    const walked = [];
    for (let step = 0; step < 9; step += 1) {
      await page.keyboard.press("Tab");
      walked.push(
        await page.evaluate(() => {
          const { activeElement: element } = document;
          const { outlineStyle } = getComputedStyle(element);
          return [(element.getAttribute("aria-label") ?? element.innerText).trim() || element.id, outlineStyle];
        }),
      );
    }
    assert.deepEqual(walked, [
      ["Skip to content", "solid"],
      ["zk-replica, the chain", "solid"],
      ["Chain", "solid"],
      ["Evidence", "solid"],
      ["How it works", "solid"],
      ["Verified to block 40", "solid"],
      ["search-input", "solid"],
      ["Look up", "solid"],
      ["40", "solid"],
    ]);
    await page.keyboard.press("Enter");
    await heading(page, "Block 40");
    await page.locator("#skip").focus();
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.innerText), "Block 40");
    await page.leave();
  });

  test("compares with the main node only when asked to, and shows exactly where it lies", async () => {
    const liar = await proxy(world.devnet, (method, result) =>
      method === "eth_getBalance" ? `0x${(BigInt(result) + 1n).toString(16)}` : result,
    );
    const page = await visit(world, `?mainNode=${query(world, liar.url)}#/address/${HOLDER}`, { allow: [liar.url] });
    await accept(page);
    await until(async () => (await text(page, ".as-of")).startsWith("State after block 40"));
    const personal = () =>
      liar.asked.filter((method) => /^eth_get(Balance|TransactionCount|Code)|^eth_call/.test(method));
    assert.deepEqual(personal(), []);
    await page.getByRole("button", { name: "Ask the main node too" }).click();
    await page.getByText("The main node says the same nonce.").waitFor();
    const lie = page.locator(".compared .difference");
    const balance = BigInt(await rpc(world.devnet, "eth_getBalance", HOLDER, "latest"));
    assert.deepEqual(await lie.locator("dd").allInnerTexts(), [String(balance + 1n), String(balance), "+1"]);
    assert.deepEqual(personal().sort(), ["eth_getBalance", "eth_getTransactionCount"]);
    await sound(page, "an account that the main node lies about");
    await page.leave();
    liar.close();
  });

  test("tells no main node what one looks up", async () => {
    const witness = await proxy(world.devnet, (_method, result) => result);
    const page = await visit(world, `?mainNode=${query(world, witness.url)}`, { allow: [witness.url] });
    await accept(page);
    await heading(page, "Block 40 is verified.");
    const number = await blockWithLog(world);
    const block = await rpc(world.devnet, "eth_getBlockByNumber", `0x${number.toString(16)}`, false);
    await lookUp(page, `0x${"ab".repeat(32)}`);
    await heading(page, "Not found");
    await lookUp(page, block.hash);
    await heading(page, `Block ${number}`);
    await lookUp(page, String(number - 1));
    await heading(page, `Block ${number - 1}`);
    await lookUp(page, block.transactions[0]);
    await heading(page, `Block ${number}`);
    const personal = witness.bodies.filter((body) =>
      [...block.transactions, "ab".repeat(32)].some((hash) => body.includes(hash)),
    );
    assert.deepEqual(personal, []);
    assert.deepEqual(
      witness.asked.filter((method) => /^eth_getTransaction|^eth_getBlockByHash/.test(method)),
      [],
    );
    await page.leave();
    witness.close();
  });

  test("marks what the main node leaves out, and does not read without end", async () => {
    let alter = (block) => block;
    const liar = await proxy(world.devnet, (method, result) =>
      method === "zkevm_getFullBlockByNumber" ? alter(result) : result,
    );
    const page = await visit(world, `?mainNode=${query(world, liar.url)}#/block/7`, { allow: [liar.url] });
    await accept(page);
    const rows = page.locator("table.claims tbody tr");
    await until(async () => (await rows.count()) === 12);
    const again = async (words, then) => {
      alter = then;
      await page.getByRole("button", { name: "Ask the main node again" }).click();
      await page.locator(".claims-summary").filter({ hasText: words }).waitFor();
      return [await rows.filter({ hasText: "Equal" }).count(), await rows.filter({ hasText: "Not said" }).count()];
    };
    assert.deepEqual(await again("12 of 12 values", (block) => block), [12, 0]);
    assert.deepEqual(await again("11 of 12 values", ({ stateRoot: _, ...rest }) => rest), [11, 1]);
    assert.match(await text(page, ".claims-summary"), /^Not all said/);
    await sound(page, "a main node that leaves something out");
    assert.deepEqual(await again("says nothing of this block", () => ({})), [0, 12]);
    assert.deepEqual(await again("does not have this block any more", () => null), [0, 12]);
    await again("more than 8 MiB", (block) => ({ ...block, extraData: "0".repeat(9 << 20) }));
    await page.leave();
    liar.close();
  });

  test("asks before it verifies what a link names, and once", async () => {
    const other = await proxy(world.devnet, (_method, result) => result);
    const link = `?mainNode=${query(world, other.url)}`;
    const page = await visit(world, `${link}#/address/${HOLDER}`, { allow: [other.url] });
    await heading(page, "This link names another chain than this page.");
    const host = new URL(other.url).host;
    assert.equal(await page.locator(".named strong").first().innerText(), host);
    await page.getByText(`this page’s own: ${world.devnet}`).waitFor();
    await sound(page, "a link");
    await page.getByRole("link", { name: "How it works" }).click();
    await page.getByText("by this link; nothing is verified before you confirm it").waitFor();
    await page.getByRole("link", { name: "Chain", exact: true }).click();
    await page.getByRole("link", { name: "Stay with this page’s chain" }).click();
    await heading(page, "Block 40 is verified.");
    assert.deepEqual(other.asked, []);
    await page.goto(`${world.url}${link}#/address/${HOLDER}`);
    await accept(page);
    await until(async () => (await text(page, ".as-of")).startsWith("State after block 40"));
    await page.reload();
    await until(async () => (await text(page, ".as-of")).startsWith("State after block 40"));
    // Another coin is another thing to say yes to.
    await page.goto(`${world.url}${link}&currency=BTC`);
    await heading(page, "This link names another chain than this page.");
    await page.leave();
    other.close();
  });

  test("keeps what it was told when a network answers with a page of its own, or the disk is full", async () => {
    const page = await visit(world);
    await heading(page, "Block 40 is verified.");
    await until(() => page.evaluate(async () => (await (await caches.open("zk-replica-chain")).keys()).length === 3));
    let served = 0;
    await page.context().route(/config\.json|chain\//, (route) => {
      served += 1;
      return route.fulfill({ contentType: "text/html", body: "<h1>Please sign in</h1>" });
    });
    for (let visits = 0; visits < 2; visits += 1) {
      await page.reload();
      await heading(page, "Block 40 is verified.");
    }
    assert.ok(served >= 6);
    await page.context().unroute(/config\.json|chain\//);
    await page.addInitScript(() => {
      Cache.prototype.put = () => Promise.reject(new DOMException("", "QuotaExceededError"));
    });
    await page.reload();
    await heading(page, "Block 40 is verified.");
    await page.leave();
  });

  test("keeps showing what is verified while the replica looks for a branch", async () => {
    const page = await visit(world, "", { scripted: true });
    await heading(page, "Block 40 is verified.");
    await until(async () => (await page.locator("table.blocks tbody tr").count()) === 20);
    await page.evaluate(
      () => (globalThis.testStatus = { verified: null, synced: false, trouble: "it takes its time" }),
    );
    await page.getByText("The main node cannot be followed.", { exact: true }).waitFor();
    await heading(page, "Block 40 is verified.");
    assert.equal(await text(page, "#state"), "Not connected, block 40");
    assert.equal(await page.locator("table.blocks tbody tr").count(), 20);
    await lookUp(page, HOLDER);
    await until(async () => (await text(page, ".as-of")).startsWith("State after block 40"));
    await page.leave();
  });

  test("takes text from outside as text", async () => {
    const hostile = "<img src=x onerror=alert(1)>\u202e\u0000evil";
    const prepare = (page) =>
      page.route("**/engine/rpc", async (route) => {
        if (!(route.request().postData() ?? "").includes("0x95d89b41")) return route.continue();
        const bytes = Buffer.from(hostile);
        const word = (value) => value.toString(16).padStart(64, "0");
        const result = `0x${word(32)}${word(bytes.length)}${bytes.toString("hex").padEnd(64 * Math.ceil(bytes.length / 32), "0")}`;
        await route.fulfill({ json: { jsonrpc: "2.0", id: 1, result } });
      });
    const page = await visit(world, `#/address/${HOLDER}`, { scripted: true, prepare });
    await page.getByText(`State after block ${BLOCKS}`).waitFor();
    const field = page.getByLabel("Add a token by the address of its contract");
    await field.fill(TOKEN);
    await field.press("Enter");
    await page.locator(".tokens .symbol").waitFor();
    assert.equal(await text(page, ".tokens .symbol"), "<img src=x o…");
    assert.equal(await page.locator("main img").count(), 0);
    await page.leave();
  });

  test("says what L1 has proved", async () => {
    const answers = { zkevm_verifiedBatchNumber: "0x5", zkevm_consolidatedBlockNumber: "0x28" };
    const prepare = (page) =>
      page.route("**/engine/rpc", async (route) => {
        const result = answers[JSON.parse(route.request().postData()).method];
        await (result ? route.fulfill({ json: { jsonrpc: "2.0", id: 1, result } }) : route.continue());
      });
    const page = await visit(world, "", { scripted: true, prepare });
    await heading(page, /is verified/);
    await lookUp(page, HOLDER);
    await page.getByText("Batch 5, up to block 40, is proved on L1").waitFor();
    assert.equal((await text(page, ".card-head .badge")).trim(), "Proved on L1");
    await sound(page, "an account that is final");
    await page.leave();
  });

  test("says that the disk is full, and that light mode proves", async () => {
    const page = await visit(world, `?test-status=${encodeURIComponent('{"mode":"light"}')}&test-problem=quota`, {
      scripted: true,
    });
    await heading(page, /is verified/);
    await page.getByText("This browser has no more room.").waitFor();
    await page.getByText("light: proofs from a checkpoint").waitFor();
    await lookUp(page, HOLDER);
    await page.getByRole("heading", { name: "Checkpoint" }).waitFor();
    assert.equal((await text(page, ".card-head .badge")).trim(), "Proved");
    await sound(page, "light mode");
    await page.leave();
  });

  test("says that the main node contradicts itself", async () => {
    const status = { trouble: "batch 6 has no block", unsound: true };
    const page = await visit(world, `?test-status=${encodeURIComponent(JSON.stringify(status))}`, { scripted: true });
    await page.locator(".notice.wrong").filter({ hasText: "Batch 6 has no block. It is tried again" }).waitFor();
    await until(async () => (await text(page, "#state")) === "Main node is wrong");
    await sound(page, "a contradiction");
    await page.leave();
  });

  test("runs no script but its own", async () => {
    const page = await visit(world, "", { allow: [/Content Security Policy|TrustedHTML|TrustedScript/] });
    await heading(page, /is verified/);
    const policy = await page.locator("meta[http-equiv=Content-Security-Policy]").getAttribute("content");
    assert.match(policy, /script-src 'self' 'wasm-unsafe-eval';/);
    assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'/);
    const outcome = await page.evaluate(async () => {
      const tried = {};
      try {
        document.body.insertAdjacentHTML("beforeend", "<b>markup</b>");
        tried.markup = "taken";
      } catch (error) {
        tried.markup = error.name;
      }
      const script = document.createElement("script");
      script.append("window.ran = true");
      try {
        document.body.append(script);
      } catch {
        // As good.
      }
      tried.ran = window.ran === true;
      return tried;
    });
    assert.deepEqual(outcome, { markup: "TypeError", ran: false });
    await page.leave();
  });

  test("opens again without a network, with all that was verified", async () => {
    const page = await visit(world, `#/address/${HOLDER}`, { allow: [/ERR_INTERNET_DISCONNECTED/] });
    await until(async () => (await text(page, ".as-of")).startsWith("State after block 40"));
    const before = await text(page, ".balance");
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await page.context().setOffline(true);
    await until(async () => (await text(page, "#state")) === "Offline, block 40");
    await page.getByRole("link", { name: "Chain", exact: true }).click();
    await page.getByText("You are offline.", { exact: true }).waitFor();
    await sound(page, "the page without a network");
    await page.goBack();
    await page.reload();
    await until(async () => (await text(page, ".balance")).includes("ETH"));
    assert.equal(await text(page, ".balance"), before);
    // A tab that is opened while the network is cut off by the driver is not told that it is offline.
    await until(async () => /^(Offline|Not connected), block 40$/.test(await text(page, "#state")));
    await page.context().setOffline(false);
    await until(async () => (await text(page, "#state")).startsWith("Verified to block"));
    await page.leave();
  });

  for (const [viewport, size] of [
    [DESK, "a desk"],
    [PHONE, "a phone"],
  ]) {
    for (const colorScheme of ["light", "dark"]) {
      test(`is readable on ${size} in ${colorScheme}`, async () => {
        const page = await visit(world, "", { viewport, colorScheme });
        await heading(page, /is verified/);
        await page.locator("table.blocks tbody tr").first().waitFor();
        const [red, green, blue] = (
          await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
        )
          .match(/\d+/g)
          .map(Number);
        assert.equal(red + green + blue > 384, colorScheme === "light");
        await sound(page, "the chain");
        await page.goto(`${world.url}#/address/${HOLDER}`);
        await until(async () => (await text(page, ".balance")).includes("ETH"));
        await page.getByLabel("Add a token by the address of its contract").fill(TOKEN);
        await page.keyboard.press("Enter");
        await page.locator(".tokens .symbol").waitFor();
        await page.locator(".trail details").evaluate((element) => (element.open = true));
        await sound(page, "an account");
        await page.goto(`${world.url}#/block/${await blockWithLog(world)}`);
        await page.locator(".transactions details").first().waitFor();
        await page
          .locator(".transactions details")
          .evaluateAll((all) => all.forEach((element) => (element.open = true)));
        await sound(page, "a block");
        for (const [place, name] of [
          ["#/evidence", "evidence"],
          ["#/about", "how it works"],
          ["#/setup", "the set-up"],
          ["#/nowhere", "nothing"],
        ]) {
          await page.goto(world.url + place);
          await page.locator("h1").waitFor();
          await sound(page, name);
        }
        await page.leave();
      });
    }
  }

  test("grows before one's eyes", async () => {
    const page = await visit(world);
    await heading(page, "Block 40 is verified.");
    await rpc(world.devnet, "devnet_mine", 1);
    await heading(page, "Block 41 is verified.");
    await until(async () => (await text(page, "table.blocks tbody tr")).startsWith("41"));
    await page.leave();
  });
});

describe("a main node that lies", () => {
  let world;
  let lie;
  before(async () => {
    world = await open();
    await rpc(world.devnet, "devnet_lie", "gas-used", BLOCKS + 1);
    await rpc(world.devnet, "devnet_mine", 2);
    await until(async () => (lie = (await (await fetch(`${world.replica}/status`)).json()).mismatch));
  });

  test("is shown in red with the exact difference, and evidence to take away", async () => {
    const page = await visit(world);
    await heading(page, "The main node is wrong about block 41.");
    assert.equal(await text(page, "#state"), "Main node is wrong");
    assert.deepEqual(await page.locator(".mismatch .difference dd").allInnerTexts(), [lie.expected, lie.computed]);
    const title = page.locator("h1");
    const [red, green, blue] = (await title.evaluate((element) => getComputedStyle(element).color))
      .match(/\d+/g)
      .map(Number);
    assert.ok(red > 2 * green && red > 2 * blue);
    assert.equal(await figure(page, "Verified"), "40");
    const waiting = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download the evidence" }).click();
    const download = await waiting;
    assert.equal(download.suggestedFilename(), "evidence-block-41.json");
    const { block, batch, claim, expected, computed } = lie;
    const judgement = world.judge(await readFile(await download.path()));
    assert.equal(judgement.verdict, "wrong");
    assert.deepEqual(judgement.mismatch, { batch, block, claim, expected, computed });
    await sound(page, "a lie");
    await page.leave();
  });

  test("changes nothing of what was verified", async () => {
    const page = await visit(world, `#/address/${HOLDER}`);
    await page.getByText("What you see is the last state that was verified.").waitFor();
    await until(async () => (await text(page, ".account .as-of")).startsWith("State after block 40"));
    assert.match(await text(page, ".balance"), / ETH$/);
    await page.leave();
  });

  test("has its block refused", async () => {
    const page = await visit(world, "#/block/41");
    await page.getByText("None of this is part of the verified chain").waitFor();
    assert.match(await text(page, ".view-head"), /Refused/);
    const accused = page.locator("table.claims tr.wrong");
    await accused.waitFor();
    assert.ok((await accused.innerText()).includes(lie.expected));
    await sound(page, "a refused block");
    await page.leave();
  });

  test("is judged again from a file", async () => {
    const page = await visit(world, "#/evidence/now", { viewport: PHONE, colorScheme: "dark" });
    await page.getByText("This device has verified the same itself.").waitFor();
    await page.getByText("This device was told so itself.").waitFor();
    await sound(page, "a judgement");
    await page.goto(`${world.url}#/`);
    await page.goto(`${world.url}#/evidence`);
    await page.getByLabel("Drop an evidence file here").focus();
    await page
      .getByLabel("Drop an evidence file here")
      .setInputFiles({ name: "chosen.json", mimeType: "application/json", buffer: world.evidence() });
    await page.getByText("chosen.json, ").waitFor();
    assert.deepEqual(await page.locator(".judgement .difference dd").allInnerTexts(), [lie.expected, lie.computed]);
    const altered = world.evidence().toString().replace('"block": 41', '"block": 42');
    await page.locator("label.drop").evaluate((zone, content) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([content], "altered.json"));
      zone.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }, altered);
    await page.locator(".judgement").getByText("This file is no evidence of anything.").waitFor();
    assert.equal(await page.locator(".judgement .difference").count(), 0);
    await page.leave();
  });

  test("is not taken from a file that states something else beside a true hash", async () => {
    const page = await visit(world, "#/evidence");
    await page.locator("#state").filter({ hasText: "Main node is wrong" }).waitFor();
    /** The block as it is true, and what is stated of its parent `altered`. */
    const forge = (claim, [expected, computed], altered) => {
      const file = JSON.parse(world.evidence());
      file.input.block.claims.hash = file.mismatch.details.computed.blockHash;
      file.records = { nodes: [], values: [], codes: [], blocks: [] };
      const details = { transaction: null, stateKey: null, computed: null };
      altered(file);
      Object.assign(file.mismatch, { batch: file.batchStart.number, claim, expected, computed, details });
      const forged = Buffer.from(JSON.stringify(file, null, 2));
      assert.equal(world.judge(forged).verdict, "wrong");
      return forged;
    };
    const { timestamp } = JSON.parse(world.evidence()).input.block.input;
    const younger = forge("timestamp", [String(timestamp), "before its parent's"], ({ parent }) => {
      parent.timestamp = timestamp + 1;
    });
    const elsewhere = forge("batch number", ["5", "4"], ({ parent, batchStart }) => {
      parent.batch = 4;
      batchStart.number = 4;
    });
    const drop = async (name, buffer) => {
      await page.getByLabel("Drop an evidence file here").setInputFiles({ name, mimeType: "application/json", buffer });
      await page.getByText(`${name}, `).waitFor();
    };
    await drop("younger.json", younger);
    await page.locator(".judgement .badge.wrong").filter({ hasText: "Altered" }).waitFor();
    assert.equal(await page.locator(".judgement .badge.verified").count(), 0);
    await drop("elsewhere.json", elsewhere);
    await page.locator(".judgement .badge.unknown").filter({ hasText: "Not known here" }).waitFor();
    await page.getByText("not all that the file says with it was found here: batch.").waitFor();
    assert.equal(await page.locator(".judgement .badge.verified").count(), 0);
    await sound(page, "a forged file");
    // Other rules make anything wrong.
    const ruled = JSON.parse(younger);
    ruled.chain.forks[0].forkId = 11;
    ruled.batchStart.forkId = 11;
    ruled.parent.forkId = 11;
    await drop("ruled.json", Buffer.from(JSON.stringify(ruled, null, 2)));
    await page.locator(".judgement .badge.unknown").filter({ hasText: "Other rules" }).waitFor();
    assert.equal(await page.locator(".judgement .badge.verified").count(), 0);
    // What is true in all its parts is told from it; who said it no file shows.
    await drop("true.json", world.evidence());
    await page.locator(".judgement .badge.verified").filter({ hasText: "Verified here" }).waitFor();
    assert.equal(await page.locator(".judgement .badge.verified").count(), 1);
    await page.locator(".judgement .badge.unknown").filter({ hasText: "The file’s word" }).waitFor();
    await page.leave();
  });

  test("is judged from a file by a page that knows no chain", async () => {
    world.setMainNode(null);
    const page = await visit(world, "#/evidence", { allow: [/404 \(Not Found\).*config\.json/] });
    await page
      .getByLabel("Drop an evidence file here")
      .setInputFiles({ name: "chosen.json", mimeType: "application/json", buffer: world.evidence() });
    await page.getByText("Not known here").first().waitFor();
    assert.deepEqual(await page.locator(".judgement .difference dd").allInnerTexts(), [lie.expected, lie.computed]);
    await sound(page, "a judgement without a chain");
    await page.leave();
    world.setMainNode(world.devnet);
  });

  test("is followed again when it tells the truth", async () => {
    const page = await visit(world);
    await heading(page, "The main node is wrong about block 41.");
    await rpc(world.devnet, "devnet_honest");
    await heading(page, "Block 42 is verified.");
    assert.equal(await page.locator(".mismatch").count(), 0);
    await page.leave();
  });
});

describe("a page that nobody has set up", () => {
  let world;
  before(async () => {
    world = await open();
    world.setMainNode(null);
  });
  const absent = { allow: [/404 \(Not Found\).*config\.json/] };

  test("asks which chain, and says what is missing", async () => {
    const page = await visit(world, "", { ...absent, viewport: PHONE });
    await heading(page, "Which chain do you want to check?");
    await page.getByRole("button", { name: "Verify this chain" }).click();
    await page.getByRole("alert").filter({ hasText: "Name a main node" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "setup-mainNode");
    await page.getByLabel("Main node", { exact: true }).fill("javascript:alert(1)");
    await page.getByRole("button", { name: "Verify this chain" }).click();
    await page.getByRole("alert").filter({ hasText: "has to begin with https://" }).waitFor();
    await sound(page, "the form with an error");
    await page.leave();
  });

  test("verifies what the form names, from files", async () => {
    const page = await visit(world, "", absent);
    await page.getByLabel("Main node", { exact: true }).fill(world.devnet);
    await page.getByLabel("Chain specification: choose a file").setInputFiles(join(world.files, "chainspec.json"));
    await page.getByLabel("Genesis: choose a file").setInputFiles(join(world.files, "genesis-allocs.json"));
    await page.getByRole("button", { name: "Verify this chain" }).click();
    await heading(page, "Block 40 is verified.");
    assert.match(page.url(), /mainNode=.*chain=kept/);
    await page.reload();
    await heading(page, "Block 40 is verified.");
    await until(async () => (await page.locator("table.blocks tbody tr").count()) === 20);
    await page.leave();
  });

  test("says why an address bar is of no use", async () => {
    const page = await visit(world, `?mainNode=ftp://x&chain=a&genesis=b`, absent);
    await page.getByText("This set-up cannot be used.").waitFor();
    await page.getByText("not an http or https address: ftp://x").waitFor();
    await page.goto(`${world.url}?mainNode=${query(world).replace("genesis-allocs", "nothing")}`);
    await heading(page, "This link names a chain.");
    await sound(page, "a link where nothing is set up");
    await accept(page);
    await page.getByText("There is no genesis file at").waitFor();
    await page.context().close();
  });

  test("goes on showing what it has when the main node falls silent", async () => {
    world.setMainNode(world.devnet);
    const page = await visit(world, "", { allow: [/ERR_CONNECTION_REFUSED/] });
    await heading(page, "Block 40 is verified.");
    await world.stopDevnet();
    await page.getByText("The main node cannot be followed.", { exact: true }).waitFor();
    await until(async () => (await text(page, "#state")) === "Not connected, block 40");
    await sound(page, "a main node that is silent");
    await page.goto(`${world.url}#/address/${HOLDER}`);
    await until(async () => (await text(page, ".balance")).includes("ETH"));
    await page.leave();
  });
});

describe(
  "a chain from a checkpoint on",
  { skip: !hasPackage && "SKIPPED: the package in wasm/npm is not built" },
  () => {
    const START = 25;
    let world;
    let checkpoint;
    before(async () => {
      world = await open();
      const { number, hash, stateRoot } = await rpc(
        world.devnet,
        "eth_getBlockByNumber",
        `0x${START.toString(16)}`,
        false,
      );
      checkpoint = { number: Number(number), hash, stateRoot };
      world.setMore({ checkpoint });
    });

    test("is verified without its genesis, and answers with proofs", async () => {
      const wanted = [];
      const page = await visit(world, "", {
        prepare: (page) => page.on("request", (request) => wanted.push(request.url())),
      });
      await heading(page, "Block 40 is verified.");
      await page.getByText("light: proofs from a checkpoint").waitFor();
      await page.getByText("The main node learns what you look at.").waitFor();
      await until(async () => (await page.locator("table.blocks tbody tr").count()) === BLOCKS - START);
      await lookUp(page, HOLDER);
      await until(async () => (await text(page, ".balance")).includes("ETH"));
      const balance = BigInt(await rpc(world.devnet, "eth_getBalance", HOLDER, "latest")).toString();
      assert.equal(await text(page, ".balance"), `${decimal(balance, 18)} ETH`);
      assert.equal((await text(page, ".card-head .badge")).trim(), "Proved");
      const steps = await page.locator(".trail > li h3").allInnerTexts();
      assert.deepEqual(
        steps.map((step) => step.replace(/\s+/g, " ")),
        ["Checkpoint Your choice", "L1 Not asked", "Batch 5", "Block 40 Proved", "Proof Hashes fit"],
      );
      const field = page.getByLabel("Add a token by the address of its contract");
      await field.fill(TOKEN);
      await field.press("Enter");
      await page.locator(".tokens li").filter({ hasText: "DEV" }).waitFor();
      await sound(page, "a proved account");
      await lookUp(page, "30");
      await heading(page, "Block 30");
      await page.locator("table.claims tbody tr").first().waitFor();
      const block = await rpc(world.devnet, "eth_getBlockByNumber", "0x1e", false);
      assert.equal(await text(page, "table.claims tbody tr code"), block.hash);
      await lookUp(page, "7");
      await page.getByText("it is before the checkpoint, block 25").waitFor();
      await page.getByRole("link", { name: "How it works" }).click();
      await page.getByText("it learns which addresses, tokens and transactions you look at").waitFor();
      await page.getByText(`block 25, ${checkpoint.hash}`).waitFor();
      assert.deepEqual(
        wanted.filter((url) => url.includes("genesis")),
        [],
      );
      await page.leave();
    });

    test("is verified from what the form names", async () => {
      world.setMainNode(null);
      const page = await visit(world, "", { viewport: PHONE, allow: [/404 \(Not Found\).*config\.json/] });
      await page.getByLabel("Main node", { exact: true }).fill(world.devnet);
      await page.getByLabel("Chain specification", { exact: true }).fill("chain/chainspec.json");
      const field = page.getByLabel("Checkpoint, in place of genesis");
      const send = () => page.getByRole("button", { name: "Verify this chain" }).click();
      await field.fill(`25,${checkpoint.hash}`);
      await send();
      await page
        .getByRole("alert")
        .filter({ hasText: "A checkpoint is a block’s number, its hash and its state root" })
        .waitFor();
      await sound(page, "the form with a checkpoint that is none");
      await field.fill(`25, ${checkpoint.hash} ${checkpoint.stateRoot}`);
      await page.getByLabel("Recording").fill("https://streams.example.org/data-stream.bin");
      await send();
      await page.getByRole("alert").filter({ hasText: "name no genesis and no recording" }).waitFor();
      await page.getByLabel("Recording").fill("");
      await send();
      await heading(page, "Block 40 is verified.");
      assert.match(page.url(), /checkpoint=25%2C0x/);
      await page.leave();
      world.setMainNode(world.devnet);
    });

    test("is not verified from a block that is none of it", async () => {
      world.setMore({ checkpoint: { ...checkpoint, stateRoot: `0x${"00".repeat(32)}` } });
      const page = await visit(world);
      await page.locator(".notice.wrong").filter({ hasText: "The main node contradicts the checkpoint" }).waitFor();
      assert.equal(await text(page, "#state"), "Checkpoint contradicted");
      await heading(page, "Preparing to verify the chain.");
      await lookUp(page, HOLDER);
      await page.getByText("No block is verified yet.").waitFor();
      assert.equal(await text(page, ".balance"), "…");
      await sound(page, "a checkpoint that is none");
      await page.leave();
      world.setMore({ checkpoint });
    });

    test("is shown in red where the main node lies", async () => {
      const page = await visit(world);
      await heading(page, "Block 40 is verified.");
      await rpc(world.devnet, "devnet_lie", "gas-used", BLOCKS + 1);
      await rpc(world.devnet, "devnet_mine", 2);
      await heading(page, "The main node is wrong about block 41.");
      let lie;
      await until(async () => (lie = (await (await fetch(`${world.replica}/status`)).json()).mismatch));
      const { claim, expected, computed } = lie;
      assert.equal(await page.locator(".mismatch .where strong").innerText(), claim);
      assert.deepEqual(await page.locator(".mismatch .difference dd").allInnerTexts(), [expected, computed]);
      assert.equal(await figure(page, "Verified"), "40");
      await page.getByRole("link", { name: "Execute it again" }).click();
      await page.getByText("This device has verified the same itself.").waitFor();
      assert.deepEqual(await page.locator(".judgement .difference dd").allInnerTexts(), [expected, computed]);
      await sound(page, "a judgement in light mode");
      await page.leave();
    });
  },
);

describe(
  "a chain from a snapshot on",
  { skip: !hasPackage && "SKIPPED: the package in wasm/npm is not built" },
  () => {
    const START = 25;
    let world;
    let checkpoint;
    before(async () => {
      world = await open();
      checkpoint = world.snapshot(START);
      world.setMore({ checkpoint, snapshot: "chain/snapshot" });
    });

    test("is executed again from there, and asks for no proofs", async () => {
      const wanted = [];
      const page = await visit(world, "", {
        prepare: (page) => page.on("request", (request) => wanted.push(`${request.url()} ${request.postData() ?? ""}`)),
      });
      await heading(page, "Block 40 is verified.");
      await page.getByText("full: every block executed again").waitFor();
      await page.getByText("executed every transaction since the checkpoint that you chose again").waitFor();
      await lookUp(page, HOLDER);
      await until(async () => (await text(page, ".balance")).includes("ETH"));
      const balance = BigInt(await rpc(world.devnet, "eth_getBalance", HOLDER, "latest")).toString();
      assert.equal(await text(page, ".balance"), `${decimal(balance, 18)} ETH`);
      const steps = await page.locator(".trail > li h3").allInnerTexts();
      assert.equal(steps[0].replace(/\s+/g, " "), "Checkpoint Your choice");
      await page.getByText("The block that you chose to begin with").waitFor();
      await sound(page, "an account behind a snapshot");
      await page.getByRole("link", { name: "How it works" }).click();
      await page.getByText(`block 25, ${checkpoint.hash}`).waitFor();
      await page.getByText("chain/snapshot").waitFor();
      assert.deepEqual(
        wanted.filter((one) => /genesis|zkevm_getProof|Witness/.test(one)),
        [],
      );
      await page.leave();
    });

    test("is not begun with a snapshot of something else", async () => {
      const other = { ...checkpoint, stateRoot: `0x${"11".repeat(32)}` };
      world.setMore({ checkpoint: other, snapshot: "chain/snapshot" });
      const page = await visit(world);
      const refused = page.locator(".notice.wrong").filter({ hasText: "The snapshot is not the state after the checkpoint" });
      await refused.getByText("the snapshot is of block 25:").waitFor();
      assert.equal(await text(page, "#state"), "Snapshot refused");
      await heading(page, "Preparing to verify the chain.");
      await lookUp(page, HOLDER);
      await page.getByText("No block is verified yet.").waitFor();
      await sound(page, "a snapshot that is refused");
      await page.leave();

      world.setMore({ checkpoint, snapshot: "chain/nothing" });
      const without = await visit(world, "", { allow: [/404 \(Not Found\).*chain\/nothing/] });
      await without.locator(".notice").filter({ hasText: "The snapshot cannot be had." }).waitFor();
      await without.leave();
      world.setMore({ checkpoint, snapshot: "chain/snapshot" });
    });
  },
);

describe("a chain whose main node is gone", () => {
  const missing = !hasPackage ? "the package in wasm/npm is not built" : !hasRecording && "there is no recording";

  test("is verified from its recording", { skip: missing && `SKIPPED: ${missing}` }, async () => {
    const world = await openRecording(pages);
    worlds.push(world);
    const page = await visit(
      world,
      "?stream=chain/data-stream.bin.gz&chain=chain/chainspec.json&genesis=chain/genesis-allocs.json",
    );
    await accept(page);
    await heading(page, /^Verifying block [\d,]+\.$/);
    assert.match(await text(page, "#state"), /^Verifying block/);
    assert.equal(await figure(page, "Main node"), "–");
    const row = page.locator("table.blocks tbody tr").first();
    await row.waitFor();
    const number = Number((await row.locator("th").innerText()).replaceAll(",", ""));
    await until(async () => Number(await rpc(world.replica, "eth_blockNumber").catch(() => 0)) >= number);
    await page.goto(
      `${world.url}?stream=chain/data-stream.bin.gz&chain=chain/chainspec.json&genesis=chain/genesis-allocs.json#/block/${number}`,
    );
    await page.locator("table.claims tbody tr").first().waitFor();
    const block = await rpc(world.replica, "eth_getBlockByNumber", `0x${number.toString(16)}`, false);
    assert.equal(await text(page, "table.claims tbody tr code"), block.hash);
    assert.equal(await page.getByRole("button", { name: "Ask the main node again" }).count(), 0);
    await page.leave();
  });
});

/** Says yes to what the address bar names. */
const accept = (page) => page.getByRole("button", { name: "Verify what the link names" }).click();

/** The rest of an address bar that names all of `world`. */
function query(world, mainNode = world.devnet) {
  return `${encodeURIComponent(mainNode)}&chain=chain/chainspec.json&genesis=chain/genesis-allocs.json`;
}

async function figure(page, name) {
  const found = page
    .locator(".figures > div")
    .filter({ has: page.locator("dt", { hasText: new RegExp(`^${name}$`) }) });
  return found.locator("dd").innerText();
}

/** `1,234.5` of 12345 with one decimal. */
function decimal(digits, places) {
  const padded = digits.padStart(places + 1, "0");
  const whole = Number(padded.slice(0, -places)).toLocaleString("en");
  const fraction = padded.slice(-places).replace(/0+$/, "");
  return fraction ? `${whole}.${fraction}` : whole;
}

async function blockWithLog(world) {
  const [log] = await rpc(world.devnet, "eth_getLogs", { fromBlock: "0x5", toBlock: "0x14", address: TOKEN });
  return Number(log.blockNumber);
}

/** A main node that says something else. */
async function proxy(target, alter) {
  const asked = [];
  const bodies = [];
  const server = createServer(async (request, response) => {
    const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "content-type" };
    if (request.method === "OPTIONS") return response.writeHead(200, headers).end();
    let body = "";
    for await (const part of request) body += part;
    bodies.push(body);
    const questions = JSON.parse(body);
    const answers = await (
      await fetch(target, { method: "POST", headers: { "content-type": "application/json" }, body })
    ).json();
    for (const { id, method } of [questions].flat()) {
      asked.push(method);
      const answer = [answers].flat().find((other) => other.id === id);
      if (answer && "result" in answer) answer.result = alter(method, answer.result);
    }
    response.writeHead(200, { ...headers, "content-type": "application/json" }).end(JSON.stringify(answers));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked,
    bodies,
    close: () => (server.closeAllConnections(), server.close()),
  };
}
