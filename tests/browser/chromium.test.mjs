// The package in Chromium: worker, disk, tabs.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { endOf, l1Node, MANAGER, ROLLUP } from "./l1-node.mjs";
import { site } from "./site.mjs";
import { devnet, until } from "./world.mjs";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const recording = new URL("../../../shared/vectors/recorded-chain/", import.meta.url);
const missing = existsSync(recording) ? false : `${recording.pathname} is not there`;

const folder = mkdtempSync(join(tmpdir(), "zk-replica-chromium-"));
let context, pages, world, options;
/** Bytes of the recorded stream. */
let length;

before(async () => {
  // What a host has behind the stream is nobody's.
  const stream = () => [gunzipSync(readFileSync(new URL("data-stream.bin.gz", recording))), Buffer.alloc(16 << 20)];
  const files = missing ? {} : { "stream.bin": Buffer.concat(stream()) };
  length = missing ? 0 : files["stream.bin"].length - (16 << 20);
  [pages, world] = await Promise.all([site(files), devnet("--block-time", "0", "--traffic", "50")]);
  await world.reach(30);
  // A person's browser: what is on its disk stays there.
  context = await chromium.launchPersistentContext(folder, { executablePath, headless: true, args: ["--no-sandbox"] });
  context.setDefaultTimeout(60_000);
  options = { mainNode: world.url, chain: world.chain, genesis: world.genesis };
});
after(async () => {
  await context?.close();
  await Promise.all([pages?.close(), world?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** A tab with the package in it, and nothing that it does not say on the console. */
async function tab(prepare) {
  const page = await context.newPage();
  page.said = [];
  page.on("console", (message) => page.said.push(message.text()));
  page.on("pageerror", (error) => page.said.push(`error: ${error}`));
  if (prepare) await page.addInitScript(prepare);
  await page.goto(pages.url);
  return page;
}

/** Opens a replica in a tab; it is `window.replica` there. */
const open = (page, options, module = "index.js") =>
  page.evaluate(
    async ([options, module]) => {
      const { createReplica } = await import(`/dist/${module}`);
      window.told = { block: [], mismatch: [], error: [], connect: 0, disconnect: 0 };
      window.replica = await createReplica(options);
      for (const event of ["block", "mismatch", "error"]) replica.on(event, (value) => told[event].push(value));
      for (const event of ["connect", "disconnect"]) replica.provider.on(event, () => (told[event] += 1));
      return replica.status;
    },
    [options, module],
  );
const synced = (page) => page.evaluate(() => replica.waitSynced());
const status = (page) => page.evaluate(() => replica.status);
const request = (page, method, ...params) =>
  page.evaluate(([method, params]) => replica.provider.request({ method, params }), [method, params]);
const close = (page) => page.evaluate(() => replica.close()).then(() => page.close());

/** In a tab: `window.made` has the workers that are made. */
function keepWorkers() {
  const Real = Worker;
  window.made = [];
  window.Worker = class extends Real {
    constructor(...args) {
      super(...args);
      made.push(this);
    }
  };
}

/** In a tab: there can be no worker, as under some policies. */
function noWorkers() {
  window.Worker = class {
    constructor() {
      throw new DOMException("no workers here", "SecurityError");
    }
  };
}

/** In a tab: counts each time that its main thread makes something of a wasm module. */
function countModules() {
  window.modules = 0;
  for (const name of ["compile", "compileStreaming", "instantiate", "instantiateStreaming", "Module", "Instance"]) {
    WebAssembly[name] = new Proxy(WebAssembly[name], {
      apply: (of, self, args) => ((modules += 1), Reflect.apply(of, self, args)),
      construct: (of, args) => ((modules += 1), Reflect.construct(of, args)),
    });
  }
}

/** Closes what a failed test has left, and takes away everything that the origin has on the disk. */
beforeEach(async () => {
  for (const page of context.pages()) await page.close();
  for (const paths of [pages.gone, pages.silent]) paths.clear();
  const page = await tab();
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    for await (const name of root.keys()) await root.removeEntry(name, { recursive: true });
    for (const { name } of await indexedDB.databases()) {
      await new Promise((resolve) => (indexedDB.deleteDatabase(name).onsuccess = resolve));
    }
  });
  await page.close();
});

describe("a tab", () => {
  it("verifies in a worker, and answers from what it verified", async () => {
    const page = await tab(countModules);
    await open(page, { ...options, storage: "memory" });
    const { verified, storage } = await synced(page);
    assert.equal(storage, "memory");
    assert.equal(page.workers().length, 1);
    const theirs = await world.rpc("eth_getBlockByNumber", `0x${verified.number.toString(16)}`, false);
    assert.deepEqual([verified.hash, verified.stateRoot], [theirs.hash, theirs.stateRoot]);
    assert.deepEqual(await request(page, "eth_getBlockByNumber", theirs.number, false), theirs);
    assert.deepEqual(page.said, []);
    // However long the chain, the page's own thread has nothing to do for it: there is no engine in it.
    assert.equal(await page.evaluate(() => modules), 0);
    await close(page);
  });

  it("verifies without a worker, too", async () => {
    const page = await tab(countModules);
    await open(page, { ...options, worker: false });
    const { storage } = await synced(page);
    // Only workers have files.
    assert.equal(storage, "indexeddb");
    assert.equal(page.workers().length, 0);
    assert.ok((await page.evaluate(() => modules)) > 0, "here it is the page that works");
    assert.equal(Number(await request(page, "eth_chainId")), world.chain.chainId);
    await close(page);
  });

  it("verifies with the single file, under the same policy", async () => {
    const page = await tab();
    await open(page, { ...options, storage: "memory" }, "inline.js");
    await synced(page);
    assert.equal(page.workers().length, 1);
    assert.ok(!pages.asked.some(({ path }) => path === "/dist/embedded.js"));
    await close(page);
  });

  it("goes on after a panic in the worker", async () => {
    const page = await tab();
    await open(page, { ...options, storage: "opfs" });
    const before = await synced(page);
    const said = await page.evaluate(() => replica.call({ call: "panic" }).catch((error) => error.message));
    assert.match(said, /started again/);
    await until("it is where it was", async () => (await status(page)).verified?.number >= before.verified.number);
    assert.equal(Number(await request(page, "eth_chainId")), world.chain.chainId);
    assert.deepEqual(await page.evaluate(() => told.error.map(({ kind }) => kind)), ["engine"]);
    await close(page);
  });

  it("has a proved balance in light mode after four requests at most", async () => {
    const { number, hash, stateRoot } = await world.rpc("eth_getBlockByNumber", "latest", false);
    const checkpoint = { number: Number(number), hash, stateRoot };
    const [{ address }] = await world.rpc("devnet_accounts");
    const page = await tab();
    const posts = [];
    context.on("request", (request) => {
      if (request.method() === "POST" && request.url().startsWith(world.url)) posts.push(request.postData());
    });
    // At once: what is new is asked for, too, as time goes by.
    const first = open(page, { mainNode: world.url, chain: world.chain, checkpoint });
    const balance = await page.evaluate(async (address) => {
      while (!window.replica) await new Promise((resolve) => setTimeout(resolve, 1));
      return replica.provider.request({ method: "eth_getBalance", params: [address, "latest"] });
    }, address);
    await first;
    assert.ok(posts.length >= 3 && posts.length <= 4, posts.join("\n"));
    assert.equal(balance, await world.rpc("eth_getBalance", address, number));
    const height = await world.reach(checkpoint.number + 3);
    await until("the blocks behind are verified", async () => (await status(page)).verified.number >= height);
    const { mode, storage } = await synced(page);
    assert.deepEqual([mode, storage, page.workers().length], ["light", "memory", 1]);
    const { hash: last } = await request(page, "eth_getBlockByNumber", `0x${height.toString(16)}`, false);
    assert.equal(last, (await world.rpc("eth_getBlockByNumber", `0x${height.toString(16)}`, false)).hash);
    await close(page);
  });

  it("announces a provider that lets a wallet sign (EIP-6963)", async () => {
    const page = await tab();
    await open(page, { ...options, storage: "memory" });
    await synced(page);
    const found = await page.evaluate(async () => {
      const { announce, withWallet } = await import("/dist/index.js");
      const signed = [];
      const wallet = {
        request: async (args) => (signed.push(args.method), args.method === "eth_chainId" ? "0x1" : ["0x01"]),
        on() {},
        removeListener() {},
      };
      const end = announce(withWallet(replica.provider, wallet), { name: "Checked" });
      const details = [];
      window.addEventListener("eip6963:announceProvider", ({ detail }) => details.push(detail));
      window.dispatchEvent(new Event("eip6963:requestProvider"));
      end();
      window.dispatchEvent(new Event("eip6963:requestProvider"));
      const [{ info, provider }] = details;
      return {
        count: details.length,
        name: info.name,
        icon: info.icon.slice(0, 14),
        chain: await provider.request({ method: "eth_chainId" }),
        accounts: await provider.request({ method: "eth_requestAccounts" }),
        sending: await provider.request({ method: "eth_sendTransaction", params: [{}] }).catch(({ code }) => code),
        signed,
      };
    });
    assert.equal(Number(found.chain), world.chain.chainId);
    assert.deepEqual(
      { ...found, chain: 0 },
      {
        count: 1,
        name: "Checked",
        icon: "data:image/svg",
        chain: 0,
        accounts: ["0x01"],
        sending: 4901,
        signed: ["eth_requestAccounts", "eth_chainId"],
      },
    );
    await close(page);
  });
});

describe("the disk", () => {
  for (const storage of ["opfs", "indexeddb"]) {
    it(`lets a reload go on: ${storage}`, async () => {
      const page = await tab();
      await open(page, { ...options, storage });
      const first = await synced(page);
      assert.equal(first.storage, storage);
      await page.evaluate(() => replica.close());
      await page.reload();
      // Without a main node: what there is comes from the disk.
      const found = await open(page, { ...options, storage, mainNode: [] });
      assert.equal(found.storage, storage);
      assert.deepEqual(found.verified, first.verified);
      assert.deepEqual(await page.evaluate(() => told.error), []);
      const { hash } = await request(page, "eth_getBlockByNumber", "0x5", false);
      assert.equal(hash, (await world.rpc("eth_getBlockByNumber", "0x5", false)).hash);
      await page.evaluate(() => replica.close());
      await page.reload();
      const height = await world.reach(first.verified.number + 3);
      await open(page, { ...options, storage });
      await until("it follows again", async () => (await status(page)).verified.number >= height);
      assert.deepEqual(
        await page.evaluate(() => told.block.map(({ number }) => number)),
        Array.from({ length: height - first.verified.number }, (_, index) => first.verified.number + 1 + index),
      );
      await close(page);
    });
  }

  it("is not believed: what was altered is verified again", async () => {
    const page = await tab();
    await open(page, { ...options, storage: "opfs" });
    const first = await synced(page);
    await page.evaluate(() => replica.close());
    await page.evaluate(async () => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("zk-replica");
      for await (const file of folder.values()) {
        const bytes = new Uint8Array(await (await file.getFile()).arrayBuffer());
        bytes[bytes.length >> 1] ^= 1;
        const writable = await file.createWritable();
        await writable.write(bytes);
        await writable.close();
      }
    });
    await page.reload();
    const found = await open(page, { ...options, storage: "opfs", mainNode: [] });
    assert.ok((found.verified?.number ?? -1) < first.verified.number);
    await page.evaluate(() => replica.close());
    await page.reload();
    await open(page, { ...options, storage: "opfs" });
    assert.equal((await synced(page)).verified.number >= first.verified.number, true);
    await close(page);
  });

  it("that is full is a problem that is told, and no reason to stop", async () => {
    const page = await tab();
    const session = await context.newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin: pages.url, quotaSize: 60_000 });
    await open(page, { ...options, storage: "opfs" });
    await until("it is at the tip", async () => (await status(page)).synced);
    const now = await status(page);
    assert.equal(now.storage, "memory");
    const problems = await page.evaluate(() => told.error);
    assert.deepEqual(problems.map(({ kind }) => kind), ["quota"], JSON.stringify(problems));
    assert.equal(Number(await request(page, "eth_blockNumber")), now.verified.number);
    await session.send("Storage.overrideQuotaForOrigin", { origin: pages.url });
    await close(page);
  });
});

describe("tabs of an origin", () => {
  it("have one engine, and the next one takes over", async () => {
    const first = await tab();
    await open(first, { ...options, storage: "opfs" });
    await synced(first);
    const second = await tab();
    await open(second, { ...options, storage: "opfs" });
    await synced(second);
    assert.deepEqual([first.workers().length, second.workers().length], [1, 0]);
    assert.equal(await request(second, "eth_blockNumber"), await request(first, "eth_blockNumber"));
    // Each has subscriptions of its own.
    await second.evaluate(() => {
      window.heads = [];
      replica.provider.on("message", ({ data }) => heads.push(data.result.number));
      return replica.provider.request({ method: "eth_subscribe", params: ["newHeads"] });
    });
    const height = await world.reach((await status(first)).verified.number + 1);
    await until("the second tab is told", () => second.evaluate((height) => heads.map(Number).includes(height), height));
    await first.close();
    await until("the second tab has the engine", () => second.workers().length === 1);
    await synced(second);
    assert.deepEqual(await second.evaluate(() => told.error), []);
    assert.ok(Number(await request(second, "eth_blockNumber")) >= height);
    assert.equal((await synced(second)).storage, "opfs");
    assert.ok((await second.evaluate(() => told.disconnect)) >= 1);
    await close(second);
  });

  it("get another engine when the worker is killed", async () => {
    const page = await tab(keepWorkers);
    await open(page, { ...options, storage: "opfs" });
    const { verified } = await synced(page);
    await page.evaluate(() => made[0].terminate());
    await until("there is another one", () => page.evaluate(() => made.length === 2));
    assert.ok(Number(await request(page, "eth_blockNumber")) >= verified.number);
    assert.ok((await page.evaluate(() => told.disconnect)) >= 1);
    await close(page);
  });

  it("have one engine where there can be no worker, too", async () => {
    for (const [prepare, more, problems] of [
      [noWorkers, {}, ["engine"]],
      [undefined, { worker: false }, []],
    ]) {
      const first = await tab(prepare);
      await open(first, { ...options, ...more });
      await synced(first);
      assert.deepEqual(await first.evaluate(() => told.error.map(({ kind }) => kind)), problems);
      const second = await tab(prepare);
      await open(second, { ...options, ...more });
      const { verified } = await synced(second);
      assert.equal(Number(await request(second, "eth_blockNumber")), verified.number);
      assert.deepEqual(await second.evaluate(() => told.error), []);
      await close(first);
      await until("the second one has the engine", async () => (await status(second)).storage === "indexeddb");
      assert.equal(Number(await request(second, "eth_blockNumber")), verified.number);
      await close(second);
    }
  });

  it("that do not share do not write to the same pages", async () => {
    const alone = { ...options, storage: "indexeddb", shared: false };
    const [first, second] = [await tab(), await tab()];
    await open(first, alone);
    assert.equal((await synced(first)).storage, "indexeddb");
    await open(second, alone);
    assert.equal((await synced(second)).storage, "memory");
    assert.deepEqual(await second.evaluate(() => told.error.map(({ kind }) => kind)), ["storage"]);
    await close(first);
    await close(second);
    const third = await tab();
    await open(third, alone);
    assert.equal((await synced(third)).storage, "indexeddb");
    await close(third);
  });

  it("that name another L1 have an engine of their own; what is final stays so in later visits", async () => {
    const l1 = await l1Node(world.chain.chainId, world.url);
    l1.prove(await endOf(world.url, 2));
    const final = async (page) => Number((await request(page, "eth_getBlockByNumber", "finalized", false)).number);
    const [first, second] = [await tab(), await tab()];
    await open(first, { ...options, l1: { url: l1.url, rollupManager: MANAGER, rollupId: ROLLUP } });
    await until("batch 2 is final", async () => (await status(first)).l1.finalized?.batch === 2);
    assert.equal(await final(first), 11);
    // The first one has the disk.
    assert.equal((await open(second, { ...options, storage: "memory" })).l1, null);
    await synced(second);
    assert.equal(second.workers().length, 1);
    await assert.rejects(final(second), /unknown block/);
    await close(second);
    await close(first);
    await l1.close();
    const later = await tab();
    await open(later, { ...options, mainNode: [] });
    assert.equal(await final(later), 11);
    await close(later);
  });

  it("go on when there can be no engine for a while", async () => {
    const page = await tab(keepWorkers);
    await open(page, { ...options, storage: "opfs" });
    const { verified } = await synced(page);
    pages.gone.add("/dist/zk-replica.wasm");
    await page.evaluate(() => made[0].terminate());
    await until("it is told", () => page.evaluate(() => told.error.some(({ message }) => message.includes("status 404"))));
    const answer = request(page, "eth_blockNumber");
    pages.gone.clear();
    assert.ok(Number(await answer) >= verified.number);
    assert.equal((await synced(page)).storage, "opfs");
    assert.deepEqual([...new Set(await page.evaluate(() => told.error.map(({ kind }) => kind)))], ["engine"]);
    await close(page);
  });

  it("do not wait for a worker that was killed while it began", async () => {
    pages.silent.add("/dist/zk-replica.wasm");
    const page = await tab(keepWorkers);
    const opening = open(page, { ...options, storage: "opfs" }).catch((error) => error.message);
    await until("it has begun", () => pages.asked.at(-1).path === "/dist/zk-replica.wasm");
    await page.evaluate(() => made[0].terminate());
    assert.match(await opening, /the worker is gone/);
    pages.silent.clear();
    // Nothing is left of it that another one would wait for.
    await open(page, { ...options, storage: "opfs" });
    await synced(page);
    await close(page);
  });

  it("have an engine in memory when the disk is gone", async () => {
    const page = await tab();
    await open(page, { ...options, storage: "opfs" });
    const { verified } = await synced(page);
    await page.workers()[0].evaluate(() => {
      for (const name of ["read", "getSize"]) {
        FileSystemSyncAccessHandle.prototype[name] = () => {
          throw new DOMException("the disk is gone", "InvalidStateError");
        };
      }
    });
    await page.evaluate(() => replica.call({ call: "panic" }).catch(() => {}));
    await until("it is where it was", async () => (await status(page)).verified?.number >= verified.number);
    assert.equal((await status(page)).storage, "memory");
    assert.deepEqual((await page.evaluate(() => told.error.map(({ kind }) => kind))).sort(), ["engine", "storage"]);
    await close(page);
  });

  it("lose no request when the first one closes", async () => {
    const [first, second] = [await tab(), await tab()];
    await open(first, { ...options, storage: "indexeddb" });
    await synced(first);
    await open(second, { ...options, storage: "indexeddb" });
    await second.evaluate(() => {
      window.asking = (async () => {
        for (window.count = 0; !window.enough; count += 1) {
          const some = Array.from({ length: 8 }, () => replica.provider.request({ method: "eth_chainId" }));
          await Promise.all(some);
        }
        return "answered";
      })().catch(({ message }) => message);
    });
    // A disk that is slow: while the last blocks are written, the second one asks on.
    await first.workers()[0].evaluate(() => {
      Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
        set(listener) {
          this.addEventListener("complete", () => setTimeout(listener, 1000));
        },
      });
    });
    const height = await world.reach((await status(first)).verified.number + 3);
    await until("the new blocks are verified", async () => (await status(first)).verified.number >= height);
    await first.evaluate(() => replica.close());
    await until("the second one has the engine", () => second.workers().length === 1);
    const count = await second.evaluate(() => window.count);
    await until("it goes on", () => second.evaluate((before) => window.count > before, count));
    assert.equal(await second.evaluate(() => ((window.enough = true), asking)), "answered");
    await first.close();
    await close(second);
  });

  it("are forgotten when they are gone without a word", async () => {
    const [first, second] = [await tab(), await tab()];
    await open(first, { ...options, storage: "memory" });
    await synced(first);
    await first.evaluate(async () => {
      const { held } = await navigator.locks.query();
      window.told.others = 0;
      const { name } = held.find(({ name }) => /^zk-replica:/.test(name));
      new BroadcastChannel(name).onmessage = ({ data }) => (told.others += "to" in data ? 1 : 0);
    });
    await open(second, { ...options, storage: "memory" });
    const others = () => first.evaluate(() => told.others);
    await until("the second one is told", async () => (await others()) > 0);
    await second.close();
    await until("its lock is free", () =>
      first.evaluate(async () => (await navigator.locks.query()).held.filter(({ name }) => name.startsWith("zk-replica-tab:")).length === 1),
    );
    const before = await others();
    const height = await world.reach((await status(first)).verified.number + 3);
    await until("the first one is told", async () => (await status(first)).verified.number >= height);
    assert.equal(await others(), before);
    await close(first);
  });
});

describe("evidence", () => {
  it("is checked beside the engine, and as long as one wants", async () => {
    const page = await tab(() => {
      const Real = Worker;
      window.checks = 0;
      // A check that does not end: the worker never hears of it.
      window.Worker = class extends Real {
        postMessage(message) {
          if (message.type === "check") checks += 1;
          else super.postMessage(message);
        }
      };
    });
    await open(page, { ...options, storage: "memory" });
    await synced(page);
    const said = await page.evaluate(async () => {
      const { checkEvidence } = await import("/dist/index.js");
      const ended = [];
      for (const check of [checkEvidence, (...given) => replica.checkEvidence(...given)]) {
        const end = new AbortController();
        const judgement = check(new Uint8Array(8), { signal: end.signal }).catch(({ name }) => name);
        await replica.provider.request({ method: "eth_blockNumber" });
        end.abort();
        ended.push(await judgement, await check(new Uint8Array(8), { signal: end.signal }).catch(({ name }) => name));
      }
      return ended;
    });
    assert.deepEqual(said, Array(4).fill("AbortError"));
    assert.equal(await page.evaluate(() => checks), 2);
    await until("the workers are gone", () => page.workers().length === 1);
    await close(page);
  });

  it("that is none is refused, with a worker and without", async () => {
    for (const prepare of [undefined, noWorkers]) {
      const page = await tab(prepare);
      const verdict = await page.evaluate(async () => {
        const { checkEvidence } = await import("/dist/index.js");
        return (await checkEvidence(new TextEncoder().encode("{}"))).verdict;
      });
      assert.equal(verdict, "refused");
      await page.close();
    }
  });
});

it("a lie is told in a tab, with evidence, and not served", async () => {
  const liar = await devnet("--block-time", "0", "--traffic", "50", "--lie", "gas-used@8");
  await liar.reach(20);
  const page = await tab();
  await open(page, { mainNode: liar.url, chain: liar.chain, genesis: liar.genesis, storage: "memory" });
  const said = await page.evaluate(() => replica.waitSynced().catch((error) => error.message));
  assert.match(said, /the main node is wrong: block \d+ .*block hash/);
  const { halted } = await status(page);
  assert.equal(Number(await request(page, "eth_blockNumber")), halted.block - 1);
  const judgement = await page.evaluate(async () => replica.checkEvidence(await replica.evidence()));
  assert.deepEqual([judgement.verdict, judgement.mismatch], ["wrong", halted]);
  await close(page);
  await liar.close();
});

it("a stream on a static host is verified by ranges, in less than 256 MB", { skip: process.env.CI ? false : missing, timeout: 600_000 }, async () => {
  const page = await tab();
  const json = (name) => JSON.parse(readFileSync(new URL(name, recording)));
  const begun = Date.now();
  await open(page, {
    chain: json("chainspec.json"),
    genesis: json("genesis-allocs.json"),
    stream: `${pages.url}files/stream.bin`,
    storage: "opfs",
  });
  const opened = Date.now();
  const { verified, stored, memory } = await synced(page);
  assert.ok(memory < 256 << 20, `${memory} bytes of memory`);
  const seconds = (Date.now() - opened) / 1000;
  assert.deepEqual(
    [verified.number, verified.hash],
    [11317, "0xefb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5"],
  );
  const ranges = pages.asked.filter(({ range }) => range !== undefined).map(({ range }) => Number(/\d+/.exec(range)[0]));
  assert.ok(ranges.length >= 2 && ranges.every((first) => first < length), ranges.join());
  await page.evaluate(() => replica.close());
  await page.reload();
  const reopened = Date.now();
  const found = await open(page, { chain: json("chainspec.json"), genesis: json("genesis-allocs.json"), storage: "opfs" });
  assert.deepEqual(found.verified, verified);
  console.log(
    `opened in ${opened - begun} ms; verified in ${seconds} s; ${stored} bytes on the disk, ${memory} in memory, reopened in ${Date.now() - reopened} ms`,
  );
  await close(page);
});
