// What the page's tests stand on: a devnet, a native replica that follows it, and servers that have the page.
//
// The page is built twice: as it is shipped, with the package `zk-replica`, and with the test engine (www/test/engine.ts),
// which asks its server what the native replica has verified and comes into states that are hard to bring about.

import axe from "axe-core";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { start } from "../clients/world.mjs";

export { rpc, start, until } from "../clients/world.mjs";

const PROGRAM = process.env.ZK_REPLICA ?? fileURLToPath(new URL("../../target/release/zk-replica", import.meta.url));
const WWW = fileURLToPath(new URL("../../www", import.meta.url));
const PACKAGE = process.env.ENGINE ?? fileURLToPath(new URL("../../wasm/npm/dist/index.js", import.meta.url));
const RECORDING = fileURLToPath(new URL("../../../shared/vectors/recorded-chain", import.meta.url));

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const openBrowser = () => chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

/** Whether there is a package to test the page with. */
export const hasPackage = existsSync(PACKAGE);

/** Builds the page, as it is shipped and for scripted states. Gives the folders. */
export function buildPages() {
  const scripted = buildPage("test/engine.ts");
  return { shipped: hasPackage ? buildPage(PACKAGE) : scripted, scripted };
}

function buildPage(engine) {
  const out = mkdtempSync(join(tmpdir(), "zk-replica-page-"));
  execFileSync(process.execPath, ["build.mjs", "--engine", engine, "--out", out], { cwd: WWW, stdio: "inherit" });
  return out;
}

/** A devnet and a replica of it. Everything is gone after `close`. */
export async function openDevnet(pages, ...options) {
  const folder = mkdtempSync(join(tmpdir(), "zk-replica-browser-"));
  const files = join(folder, "chain");
  const devnet = await start(
    ["devnet", "--http", "127.0.0.1:0", "--stream", "127.0.0.1:0", "--genesis-out", files, "--quiet", ...options],
    { http: /JSON-RPC (http:\S+)/, stream: /data stream (\S+:\d+)/ },
  );
  const source = ["--stream", devnet.stream, "--main-node", devnet.http];
  return world(pages, folder, files, devnet, source, devnet.http);
}

export const hasRecording = existsSync(join(RECORDING, "data-stream.bin.gz"));

/** The recorded chain. Its main node is gone: nothing answers where the page believes it. */
export async function openRecording(pages) {
  const folder = mkdtempSync(join(tmpdir(), "zk-replica-browser-"));
  const devnet = await start(["devnet", "--stream", "127.0.0.1:0", "--serve", join(RECORDING, "data-stream.bin.gz")], {
    stream: /data stream (\S+:\d+)/,
  });
  return world(pages, folder, RECORDING, devnet, ["--stream", devnet.stream], "http://127.0.0.1:9");
}

/** No view is wider than its window, and none has an accessibility defect that axe finds. */
export async function sound(page, what) {
  const wide = await page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    return [...document.querySelectorAll("*")]
      .filter((element) => element.getBoundingClientRect().right > room + 0.5)
      .map((element) => `${element.tagName}.${element.className}`);
  });
  assert.deepEqual(wide, [], `${what} is wider than its window`);
  await page.evaluate(`${axe.source}; undefined`).catch(() => undefined);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const found = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`,
  );
  assert.deepEqual(found, [], `${what} is not accessible`);
}

async function world(pages, folder, files, devnet, source, mainNode) {
  const replica = await start(
    [
      "run",
      ...source,
      ...["--db", join(folder, "db"), "--http", "127.0.0.1:0", "--evidence-dir", join(folder, "evidence")],
      ...["--genesis", join(files, "genesis-allocs.json"), "--chain", join(files, "chainspec.json")],
    ],
    { http: /serving Web3 at (http:\S+)/ },
  );
  const evidence = () => newest(join(folder, "evidence"));
  const site = { mainNode, more: { genesis: "chain/genesis-allocs.json" } };
  const serve = async (page) => {
    const server = createServer((request, response) => {
      answer(
        { page, files, evidence, folder, replica: replica.http, mainNode: site.mainNode, more: site.more },
        request,
        response,
      ).catch((error) => {
        response.writeHead(500).end(String(error));
      });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
  };
  const [shipped, scripted] = await Promise.all([serve(pages.shipped), serve(pages.scripted)]);
  const address = (server) => `http://127.0.0.1:${server.address().port}/`;
  return {
    devnet: devnet.http,
    replica: replica.http,
    /** The page as it is shipped. */
    url: address(shipped),
    /** The page with the test engine. */
    scripted: address(scripted),
    files,
    /** The native replica's evidence, and what it says of any. */
    evidence: () => readFileSync(evidence()),
    judge: (file) => judge(file, folder),
    /** What config.json says from now on; null: there is none. */
    setMainNode: (address) => (site.mainNode = address),
    /** What config.json says beside main node and chain. */
    setMore: (more) => (site.more = more),
    /** Puts the state after a block beside the chain's files, of a copy of the native replica's database. What it is of. */
    snapshot(block) {
      cpSync(join(folder, "db"), join(folder, "copy"), { recursive: true });
      const where = ["--db", join(folder, "copy"), "--out", join(files, "snapshot")];
      return JSON.parse(execFileSync(PROGRAM, ["db", "snapshot", "--json", "--block", String(block), ...where]));
    },
    stopDevnet: () => devnet.stop(),
    async close() {
      for (const server of [shipped, scripted]) {
        server.closeAllConnections();
        server.close();
      }
      await Promise.all([replica.stop(), devnet.stop()]);
      rmSync(folder, { recursive: true });
    },
  };
}

async function answer({ page, files, evidence, folder, replica, mainNode, more }, request, response) {
  const { pathname } = new URL(request.url, "http://127.0.0.1");
  const send = (status, type, body) =>
    response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
  if (pathname === "/engine/rpc") {
    const body = await bytes(request);
    const found = await fetch(replica, { method: "POST", headers: { "content-type": "application/json" }, body });
    return send(200, "application/json", await found.text());
  }
  if (pathname === "/engine/status")
    return send(200, "application/json", await (await fetch(`${replica}/status`)).text());
  if (pathname === "/engine/evidence") {
    const file = evidence();
    return file ? send(200, "application/json", readFileSync(file)) : send(404, "text/plain", "none");
  }
  if (pathname === "/engine/check")
    return send(200, "application/json", JSON.stringify(judge(await bytes(request), folder)));
  if (pathname === "/config.json") {
    if (mainNode === null) return send(404, "text/plain", "none");
    return send(200, "application/json", JSON.stringify({ mainNode, chain: "chain/chainspec.json", ...more }));
  }
  const from = pathname.startsWith("/chain/") ? [files, pathname.slice("/chain".length)] : [page, pathname];
  const path = join(from[0], normalize(from[1] === "/" ? "/index.html" : from[1]));
  if (!existsSync(path) || !statSync(path).isFile()) return send(404, "text/plain", "not here");
  return send(200, TYPES[extname(path)] ?? "application/octet-stream", readFileSync(path));
}

/** What `zk-replica evidence check` says, in the package's words. */
function judge(file, folder) {
  const path = join(folder, "dropped.json");
  writeFileSync(path, file);
  const nothing = { mismatch: null, reason: null, chainId: null, anchors: [] };
  let code = 0;
  try {
    execFileSync(PROGRAM, ["evidence", "check", path], { stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    code = error.status;
    if (code === 2)
      return {
        ...nothing,
        verdict: "refused",
        reason: String(error.stderr)
          .trim()
          .replace(/^error: /, ""),
      };
    if (code !== 4) throw error;
  }
  const { chain, mismatch: found, parent } = JSON.parse(file);
  const { block, batch, claim, expected, computed } = found;
  const { totals: _, ...anchor } = parent ?? {};
  const anchors = parent ? [{ kind: "parent", ...anchor }] : [];
  return {
    ...nothing,
    verdict: code === 0 ? "wrong" : "true",
    mismatch: code === 0 ? { block, batch, claim, expected, computed } : null,
    chainId: chain.chainId,
    anchors,
  };
}

function newest(folder) {
  if (!existsSync(folder)) return null;
  const times = readdirSync(folder).map((name) => [statSync(join(folder, name)).mtimeMs, join(folder, name)]);
  return times.sort((a, b) => b[0] - a[0])[0]?.[1] ?? null;
}

async function bytes(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}
