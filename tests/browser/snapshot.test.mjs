// Full mode from a checkpoint on, with the state as a file.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { createReplica, MismatchError } from "../../wasm/npm/dist/index.js";
import { site } from "./site.mjs";
import { devnet, snapshot, until } from "./world.mjs";

const recording = new URL("../../../shared/vectors/recorded-chain/", import.meta.url);
const missing = existsSync(recording) ? false : `${recording.pathname} is not there`;
const BLOCK = 12;

describe("a devnet's state", () => {
  let world, taken, files, pages;
  before(async () => {
    world = await devnet("--block-time", "0", "--traffic", "50");
    await world.reach(30);
    taken = await world.snapshot(BLOCK);
    files = { state: taken.file };
    pages = await site(files);
  });
  after(() => Promise.all([world.close(), pages.close()]));

  const options = () => ({ mainNode: world.url, chain: world.chain, checkpoint: taken.checkpoint });
  const at = (number) => `0x${number.toString(16)}`;

  for (const [form, given] of Object.entries({
    "an address": () => `${pages.url}files/state`,
    bytes: () => taken.file,
    "packed bytes": () => gzipSync(taken.file),
  })) {
    it(`is gone on from, as ${form}`, async () => {
      const replica = await createReplica({ ...options(), snapshot: given() });
      const { mode, checkpoint, verified, halted, trouble } = await replica.waitSynced();
      assert.deepEqual([mode, checkpoint, halted, trouble], ["full", taken.checkpoint, null, null]);
      assert.ok(verified.number >= 30);
      const ask = (method, ...params) => replica.provider.request({ method, params });
      const address = (await world.rpc("devnet_accounts"))[0].address;
      for (const [method, ...params] of [
        ["eth_getBlockByNumber", at(BLOCK + 1), true],
        ["eth_getBlockReceipts", at(verified.number)],
        ["eth_getBalance", address, at(BLOCK + 1)],
        ["eth_getTransactionCount", address, at(verified.number)],
        ["eth_getLogs", { fromBlock: at(BLOCK + 1), toBlock: at(verified.number) }],
        ["zkevm_getProof", address, ["0x0"], at(verified.number)],
      ]) {
        assert.deepEqual(await ask(method, ...params), await world.rpc(method, ...params), method);
      }
      for (const number of [0, BLOCK]) {
        await assert.rejects(ask("eth_getBlockByNumber", at(number), false), (error) => error.code === 4444);
      }
      const height = await world.reach(verified.number + 3);
      await until("what comes next is verified", () => replica.status.verified.number >= height);
      await replica.close();
    });
  }

  it("is refused where it is not the checkpoint's, and taken when it is", async () => {
    const other = await world.snapshot(BLOCK + 1);
    const altered = Buffer.from(taken.file);
    altered[altered.length - 10] ^= 1;
    const wrong = {
      "the snapshot is of block 13:": other.file,
      "the snapshot is damaged: ": taken.file.subarray(0, 1000),
      "not a snapshot: ": Buffer.from("<html>"),
      "the snapshot's state": altered,
    };
    files.wrong = Object.values(wrong)[0];
    const replica = await createReplica({ ...options(), snapshot: `${pages.url}files/wrong` });
    const problems = [];
    replica.on("error", ({ message }) => problems.push(message));
    for (const [reason, file] of Object.entries(wrong)) {
      files.wrong = file;
      await until(reason, () => replica.status.trouble?.includes(reason));
      const { verified, synced, unsound, halted } = replica.status;
      assert.deepEqual([verified, synced, unsound, halted], [null, false, true, null]);
      const asked = replica.provider.request({ method: "eth_blockNumber" });
      await assert.rejects(asked, (error) => error.code === 4444 || error.code === -32000, reason);
    }
    delete files.wrong;
    await until("that it is not there", () => /the snapshot: .*status 404/.test(replica.status.trouble ?? ""));
    files.wrong = taken.file;
    const { verified, trouble } = await replica.waitSynced();
    assert.ok(verified.number >= 30 && trouble === null);
    await replica.close();
  });

  it("is asked for with a checkpoint alone", async () => {
    const { checkpoint, ...rest } = options();
    const given = { ...rest, genesis: world.genesis, snapshot: taken.file };
    await assert.rejects(createReplica(given), /checkpoint: it says which block a snapshot has to be of/);
  });

  it("does not go below the checkpoint when the main node does", async () => {
    const own = await devnet("--block-time", "0");
    await own.reach(10);
    const { checkpoint, file } = await own.snapshot(6);
    const replica = await createReplica({ mainNode: own.url, chain: own.chain, checkpoint, snapshot: file });
    const rolled = [];
    replica.on("rolledBack", (from) => rolled.push(from));
    await replica.waitSynced();
    await own.rpc("devnet_rollBack", 8);
    await own.reach(12);
    await until("it follows", () => replica.status.verified.number >= 12);
    assert.equal(rolled.length, 1);
    const before = replica.status.verified;
    await own.rpc("devnet_rollBack", 3);
    await own.reach(15);
    await until("it says so", () => replica.status.trouble?.includes("its block 6 is not ours"));
    assert.deepEqual(replica.status.verified, before);
    await replica.close();
    await own.close();
  });

  it("is gone on from in a browser, and kept there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "zk-replica-snapshot-"));
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    const context = await chromium.launchPersistentContext(folder, { executablePath, headless: true, args: ["--no-sandbox"] });
    const open = async () => {
      const page = await context.newPage();
      await page.goto(pages.url);
      return page.evaluate(
        async (options) => {
          const { createReplica } = await import("/dist/index.js");
          const replica = await createReplica(options);
          const first = replica.status.verified?.number ?? null;
          const { mode, storage, verified } = await replica.waitSynced();
          await replica.close();
          return { first, mode, storage, last: verified.number };
        },
        { ...options(), snapshot: "files/state" },
      );
    };
    const fetched = () => pages.asked.filter(({ path }) => path === "/files/state").length;
    const before = fetched();
    const one = await open();
    assert.deepEqual([one.first, one.mode, one.storage], [null, "full", "opfs"]);
    assert.equal(fetched(), before + 1);
    const two = await open();
    assert.ok(two.first >= one.last && two.last >= two.first);
    assert.equal(fetched(), before + 1, "it is on the disk");
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  });
});

it("a lie behind the snapshot is told, and not served", async () => {
  const world = await devnet("--block-time", "0", "--traffic", "50", "--lie", "state-root@15");
  await world.reach(20);
  const { checkpoint, file } = await world.snapshot(10);
  const replica = await createReplica({ mainNode: world.url, chain: world.chain, checkpoint, snapshot: file });
  await assert.rejects(replica.waitSynced(), MismatchError);
  const { halted, verified, evidence } = replica.status;
  assert.deepEqual([halted.claim, halted.block, verified.number, evidence], ["state root", 15, 14, true]);
  const judgement = await replica.checkEvidence(await replica.evidence());
  assert.deepEqual([judgement.verdict, judgement.mismatch], ["wrong", halted]);
  await replica.close();
  await world.close();
});

it("the recorded chain is true from its block 11,000 on", { skip: process.env.CI ? false : missing }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "zk-replica-snapshot-"));
  const path = (name) => fileURLToPath(new URL(name, recording));
  const chain = ["--genesis", path("genesis-allocs.json"), "--chain", path("chainspec.json")];
  const db = join(folder, "db");
  execFileSync(process.env.ZK_REPLICA, ["replay", "--stream", path("data-stream.bin.gz"), ...chain, "--db", db], { stdio: "ignore" });
  const { checkpoint, file } = snapshot(db, 11_000);
  const replica = await createReplica({
    chain: new URL("chainspec.json", recording).href,
    checkpoint,
    snapshot: file,
    stream: readFileSync(path("data-stream.bin.gz")),
  });
  const blocks = [];
  replica.on("block", ({ number }) => blocks.push(number));
  const { verified } = await replica.waitSynced();
  assert.deepEqual([verified.number, verified.hash], [11317, "0xefb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5"]);
  assert.deepEqual([blocks[0], blocks.length], [11_001, 317]);
  await replica.close();
  rmSync(folder, { recursive: true });
});
