// What a tab takes, printed: the time until it is ready, the recorded chain's verification and what the page's own thread
// does meanwhile, and the first proved balance of light mode. `make bench` runs it.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { site } from "./site.mjs";
import { devnet } from "./world.mjs";

/** How often what is short is measured. The best counts. */
const TURNS = 5;

const recording = new URL("../../../shared/vectors/recorded-chain/", import.meta.url);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(new URL("../../wasm/npm/dist/index.js", import.meta.url)) || !existsSync(executablePath)) {
  console.log("browser: skipped: the package in wasm/npm is not built (`make wasm`), or there is no Chromium");
  process.exit(0);
}

const files = existsSync(recording) ? { "stream.bin": gunzipSync(readFileSync(new URL("data-stream.bin.gz", recording))) } : {};
const folder = mkdtempSync(join(tmpdir(), "zk-replica-bench-"));
const [pages, world] = await Promise.all([site(files), devnet("--block-time", "0", "--traffic", "50")]);
const context = await chromium.launchPersistentContext(folder, { executablePath, headless: true, args: ["--no-sandbox"] });

async function tab() {
  const page = await context.newPage();
  await page.addInitScript(() => {
    window.tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
  });
  await page.goto(pages.url);
  return page;
}

/** In a tab: opens a replica; milliseconds from the package's first byte to an engine that answers. */
const open = (page, options) =>
  page.evaluate(async (options) => {
    const begun = performance.now();
    const { createReplica } = await import("/dist/index.js");
    window.replica = await createReplica(options);
    return performance.now() - begun;
  }, options);
const best = (times) => `${Math.min(...times).toFixed(0)} ms`;

await world.reach(30);
const { number, hash, stateRoot } = await world.rpc("eth_getBlockByNumber", "latest", false);
const light = { mainNode: world.url, chain: world.chain, checkpoint: { number: Number(number), hash, stateRoot } };
const [ready, proved] = [[], []];
for (let turn = 0; turn < TURNS; turn += 1) {
  const page = await tab();
  ready.push(await open(page, { chain: world.chain, genesis: world.genesis, storage: "memory" }));
  await page.close();
  const wallet = await tab();
  const opened = await open(wallet, light);
  const asked = await wallet.evaluate(async () => {
    const begun = performance.now();
    await replica.provider.request({ method: "eth_getBalance", params: [`0x${"11".repeat(20)}`, "latest"] });
    return performance.now() - begun;
  });
  proved.push(opened + asked);
  await wallet.close();
}
console.log(`browser: ready in ${best(ready)}; first proved balance in light mode after ${best(proved)}`);

if (files["stream.bin"]) {
  const json = (name) => JSON.parse(readFileSync(new URL(name, recording)));
  const page = await tab();
  const options = { chain: json("chainspec.json"), genesis: json("genesis-allocs.json"), stream: `${pages.url}files/stream.bin` };
  await open(page, { ...options, storage: "opfs" });
  const begun = Date.now();
  const { verified, memory, stored } = await page.evaluate(() => replica.waitSynced());
  const seconds = (Date.now() - begun) / 1000;
  const tasks = await page.evaluate(() => tasks);
  console.log(
    `browser: ${verified.number} recorded blocks in ${seconds.toFixed(1)} s, ${(memory / 2 ** 20).toFixed(0)} MB of memory, ` +
      `${(stored / 2 ** 20).toFixed(0)} MB on the disk; tasks over 50 ms in the page's own thread: ${tasks.length}` +
      (tasks.length > 0 ? `, the longest ${Math.max(...tasks).toFixed(0)} ms` : ""),
  );
} else {
  console.log(`browser: the recorded chain is skipped: ${recording.pathname} is not there`);
}
await context.close();
await Promise.all([pages.close(), world.close()]);
rmSync(folder, { recursive: true, force: true });
