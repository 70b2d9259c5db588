// A stranger's application: the package as npm has it, Vite, viem, and five lines.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build, createServer, preview } from "vite";
import { devnet } from "./world.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "zk-replica-app-"));
const app = join(folder, "app");
const npm = (cwd, ...args) => execFileSync("npm", [...args, "--offline", "--loglevel=error"], { cwd, encoding: "utf8" });

const PAGE = `<!doctype html><title>App</title><link rel="icon" href="data:,"><output></output><script type="module" src="/main.js"></script>`;
const MAIN = (mainNode, address) => `import { createPublicClient } from 'viem';
import { createReplica } from 'zk-replica';
import { replicaTransport } from 'zk-replica/viem';

const replica = await createReplica({ mainNode: '${mainNode}', chain: '/chainspec.json', genesis: '/genesis-allocs.json' });
await replica.waitSynced();
const client = createPublicClient({ transport: replicaTransport(replica) });
document.querySelector('output').value = await client.getBalance({ address: '${address}' });
`;
/** What the README tells users of Vite's development server. */
const CONFIG = { optimizeDeps: { exclude: ["zk-replica"] } };

let world, browser, balance;

before(async () => {
  world = await devnet("--block-time", "0", "--traffic", "50");
  await world.reach(12);
  const [{ address }] = await world.rpc("devnet_accounts");
  balance = String(BigInt(await world.rpc("eth_getBalance", address, "latest")));

  const write = (path, text) => writeFileSync(join(app, path), text);
  mkdirSync(join(app, "public"), { recursive: true });
  write("package.json", '{ "private": true, "type": "module" }');
  write("index.html", PAGE);
  write("main.js", MAIN(world.url, address));
  write("public/chainspec.json", JSON.stringify(world.chain));
  write("public/genesis-allocs.json", JSON.stringify(world.genesis));
  const [{ filename }] = JSON.parse(npm(here("../../wasm/npm/"), "pack", "--json", "--pack-destination", folder));
  npm(app, "install", "--no-audit", "--no-fund", join(folder, filename));
  // As another install would, without the network.
  symlinkSync(here("../clients/node_modules/viem"), join(app, "node_modules/viem"));
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});
after(async () => {
  await browser?.close();
  await world?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens the application, and waits for what it shows. */
async function look(server) {
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(`${error}`));
  await page.goto(server.resolvedUrls.local[0]);
  const shown = page.waitForFunction(() => document.querySelector("output")?.value, null, { timeout: 60_000 });
  assert.equal(await shown.then((handle) => handle.jsonValue(), (error) => `${error}: ${said.join("; ")}`), balance);
  assert.equal(page.workers().length, 1, "the engine has a thread of its own");
  await page.close();
}

it("shows a verified balance from Vite's development server", async () => {
  const server = await createServer({ ...CONFIG, root: app, configFile: false, logLevel: "error", server: { host: "127.0.0.1", port: 0 } });
  await server.listen();
  try {
    await look(server);
  } finally {
    await server.close();
  }
});

it("shows it when it is built", async () => {
  const options = { root: app, configFile: false, logLevel: "error", preview: { host: "127.0.0.1", port: 0 } };
  await build(options);
  const server = await preview(options);
  try {
    await look(server);
  } finally {
    await server.close();
  }
});
