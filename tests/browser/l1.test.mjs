// What L1 has fixed, through the package in Node: it agrees, lies, is silent, has another chain.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { afterEach, before, beforeEach, describe, it } from "node:test";
import { createReplica, MismatchError } from "../../wasm/npm/dist/index.js";
import { endOf, l1Node, MANAGER, ROLLUP } from "./l1-node.mjs";
import { answer, devnet, until } from "./world.mjs";

const ONES = `0x${"01".repeat(32)}`;
/** Blocks of the devnet: batch 1 has one, those behind it ten. */
const last = (batch) => 10 * batch - 9;

const opened = [];
/** What the test has opened ends with it. */
const own = (one) => (opened.push(one), one);
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

const optionOf = (...nodes) => ({ url: nodes.map(({ url }) => url), rollupManager: MANAGER, rollupId: ROLLUP, interval: 1000 });

describe("what is proved on L1", () => {
  let world, l1;
  beforeEach(async () => {
    world = own(await devnet("--block-time", "0", "--traffic", "20"));
    await world.reach(25);
    l1 = own(await l1Node(world.chain.chainId, world.url));
  });
  const open = async (options = {}) => {
    const given = { mainNode: world.url, chain: world.chain, genesis: world.genesis, l1: optionOf(l1), ...options };
    return own(await createReplica(given));
  };
  const ask = async (replica, method, ...params) =>
    JSON.parse(await replica.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })));
  const final = (replica, batch) =>
    until(`batch ${batch} is final`, () => replica.status.l1.finalized?.batch === batch);

  it("is compared, and final when it is the same", async () => {
    l1.prove(await endOf(world.url, 2));
    const replica = await open();
    await replica.waitSynced();
    await final(replica, 2);
    assert.deepEqual(replica.status.l1, {
      proved: { l1Block: 1001, batch: 2 },
      finalized: { block: last(2), batch: 2 },
      trouble: null,
    });
    assert.equal((await ask(replica, "eth_getBlockByNumber", "finalized", false)).result.number, `0x${last(2).toString(16)}`);
    assert.equal((await ask(replica, "zkevm_verifiedBatchNumber")).result, "0x2");
    // All of it is about one block of L1.
    const [[method, tag], ...words] = l1.asked.slice(0, 5);
    assert.deepEqual([method, tag], ["eth_getBlockByNumber", "finalized"]);
    for (const [method, manager, , at] of words) {
      assert.deepEqual([method, manager], ["eth_getStorageAt", MANAGER]);
      assert.deepEqual(at, { blockHash: `0x${(1001).toString(16).padStart(64, "0")}`, requireCanonical: true });
    }
    // A proof may come before the batch is verified here.
    await world.reach(last(4));
    const end = await endOf(world.url, 4);
    l1.prove(end);
    await final(replica, 4);
    assert.equal(replica.status.l1.proved.l1Block, 1002);
    assert.equal(replica.status.halted, null);
  });

  it("is not known without it: nothing is final", async () => {
    const replica = await open({ l1: undefined });
    await replica.waitSynced();
    assert.equal(replica.status.l1, null);
    assert.equal((await ask(replica, "eth_getBlockByNumber", "finalized", false)).error.code, -39001);
    assert.deepEqual(l1.asked, []);
  });

  for (const [what, lie, claim] of [
    ["state root", { stateRoot: ONES }, "state root proved on L1"],
    ["local exit root", { localExitRoot: ONES }, "local exit root proved on L1"],
  ]) {
    it(`with another ${what} stops the chain, and lets it go on when it is the same`, async () => {
      l1.prove(await endOf(world.url, 2));
      const replica = await open();
      const { verified } = await replica.waitSynced();
      await final(replica, 2);
      const told = [];
      replica.on("mismatch", (mismatch) => told.push(mismatch));
      const end = await endOf(world.url, 3);
      l1.prove({ ...end, ...lie });
      await until("it is told", () => replica.status.halted !== null);
      const computed = what === "state root" ? end.stateRoot : end.localExitRoot;
      const mismatch = { batch: 3, block: last(3), claim, by: "l1", expected: ONES, computed };
      assert.deepEqual(replica.status.halted, mismatch);
      assert.equal(replica.status.evidence, false);
      await assert.rejects(replica.waitSynced(), (error) => {
        assert.ok(error instanceof MismatchError);
        assert.equal(error.message, `L1 has another state: block ${last(3)} (batch 3): ${claim}: expected ${ONES}, computed ${computed}`);
        return true;
      });
      // However often it is tried, nothing is added, and nothing more is final. Then the waits between two attempts are longer
      // than those between two questions to L1, which must not put them off.
      await world.reach(last(4));
      const questions = l1.asked.length;
      await until("L1 was asked six times more", () => l1.asked.length >= questions + 30);
      assert.deepEqual(replica.status.verified, verified);
      assert.deepEqual(replica.status.l1.finalized, { block: last(2), batch: 2 });
      assert.deepEqual(replica.status.halted, mismatch);
      assert.equal((await ask(replica, "eth_getBlockByNumber", `0x${(verified.number + 1).toString(16)}`, false)).result, null);
      assert.deepEqual(told, [mismatch]);

      l1.prove(end);
      await final(replica, 3);
      await until("it goes on", () => replica.status.synced && replica.status.verified.number >= last(4));
      assert.equal(replica.status.halted, null);
    });
  }

  for (const [what, instead, words] of [
    ["answers with a status", (response) => response.writeHead(503).end("{}"), /the L1 node answers with status 503$/],
    ["closes the line", (response) => response.destroy(), /fetch failed/],
    ["talks nonsense", (response) => response.end("<html>"), /about its last block cannot be read: the answer is not JSON/],
    [
      "refuses, with a status or without",
      (response) => response.writeHead(403).end(`{"id":1,"error":{"code":-32000,"message":"who are you?"}}`),
      /the L1 node refuses its last block: who are you\? \(-32000\)$/,
    ],
  ]) {
    it(`is not known while its node ${what}: that is told, and verification goes on`, async () => {
      l1.prove(await endOf(world.url, 2));
      l1.instead = instead;
      const replica = await open();
      const problems = [];
      replica.on("error", (problem) => problems.push(problem));
      await replica.waitSynced();
      await until("the trouble is told", () => replica.status.l1.trouble !== null);
      assert.match(replica.status.l1.trouble, words);
      assert.ok(replica.status.l1.trouble.startsWith(l1.url));
      const height = await world.reach(35);
      await until("new blocks are verified", () => replica.status.verified.number >= height);
      const { finalized, proved } = replica.status.l1;
      assert.deepEqual([finalized, proved, replica.status.trouble, replica.status.halted], [null, null, null, null]);
      l1.instead = undefined;
      await final(replica, 2);
      assert.equal(replica.status.l1.trouble, null);
      // It is told once.
      assert.deepEqual(problems.map(({ kind }) => kind), ["l1"]);
    });
  }

  it("is asked of the next node when one fails", async () => {
    const dead = own(await l1Node(world.chain.chainId, world.url));
    dead.instead = (response) => response.writeHead(500).end();
    l1.prove(await endOf(world.url, 2));
    const replica = await open({ l1: optionOf(dead, l1) });
    await final(replica, 2);
    assert.equal(replica.status.l1.trouble, null);
    assert.equal(dead.asked.length, 1);
  });

  it("of another chain is no use", async () => {
    l1.prove(await endOf(world.url, 2));
    l1.chainId = 1101;
    const replica = await open();
    await until("the trouble is told", () => replica.status.l1.trouble !== null);
    assert.match(replica.status.l1.trouble, /entry is of chain 1101, ours is 31337: wrong address, rollup id or L1$/);
    assert.ok((await replica.waitSynced()).verified.number >= 25);
    assert.equal(replica.status.l1.finalized, null);
  });

  it("is never rolled back; what comes behind it is", async () => {
    l1.prove(await endOf(world.url, 2));
    const replica = await open();
    const { verified } = await replica.waitSynced();
    await final(replica, 2);
    await world.rpc("devnet_rollBack", last(2) + 1);
    await world.rpc("devnet_mine", 20);
    await until("the other chain is verified", () => replica.status.verified.number === last(2) + 21);
    assert.ok(replica.status.verified.number > verified.number);
    const before = replica.status.verified;
    await world.rpc("devnet_rollBack", last(2) - 1);
    await world.rpc("devnet_mine", 40);
    const refusal = `cannot roll back to block ${last(2) - 1}: block ${last(2)} is final`;
    await until("it is refused", () => replica.status.trouble === refusal);
    assert.deepEqual(replica.status.verified, before);
  });

  it("on another branch is followed there", async () => {
    // A main node that can be cut off.
    let cut = false;
    const server = createServer(async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      if (cut) return response.writeHead(503).end();
      const found = await fetch(world.url, { method: "POST", headers: { "content-type": "application/json" }, body });
      return response.end(await found.text());
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    own({ close: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())) });
    l1.prove(await endOf(world.url, 2));
    const replica = await open({ mainNode: `http://127.0.0.1:${server.address().port}/` });
    const { verified } = await replica.waitSynced();
    await final(replica, 2);
    const ours = await endOf(world.url, 3);
    cut = true;
    await world.rpc("devnet_rollBack", last(2) + 2);
    await world.rpc("devnet_mine", 20);
    const theirs = await endOf(world.url, 3);
    l1.prove(theirs);
    await until("the difference is told", () => replica.status.halted !== null);
    const { expected, computed } = replica.status.halted;
    assert.deepEqual([expected, computed], [theirs.stateRoot, ours.stateRoot]);
    const rolled = [];
    replica.on("rolledBack", (one) => rolled.push(one));
    cut = false;
    await final(replica, 3);
    await until("it is at the tip", () => replica.status.synced);
    assert.deepEqual(rolled, [{ from: verified.number, to: last(2) + 2 }]);
    assert.equal(replica.status.halted, null);
    const at = `0x${last(3).toString(16)}`;
    assert.equal((await ask(replica, "eth_getBlockByNumber", at, false)).result.stateRoot, theirs.stateRoot);
  });

  it("can only be asked for with options that say where it is", async () => {
    const refused = (l1, words) => assert.rejects(open({ l1: { ...optionOf({ url: "http://127.0.0.1:1/" }), ...l1 } }), words);
    await refused({ url: [] }, /^Error: l1\.url: /);
    await refused({ url: "where?" }, /^Error: l1\.url: where\? is no address/);
    await refused({ rollupManager: "0x11" }, /^Error: l1\.rollupManager: /);
    for (const rollupId of [0, 1.5, "1", 2 ** 32, undefined]) await refused({ rollupId }, /^Error: l1\.rollupId: /);
    await refused({ block: "pending" }, /^Error: l1\.block: /);
    for (const interval of [10, NaN, "now"]) await refused({ interval }, /^Error: l1\.interval: /);
    const checkpoint = { number: 1, hash: ONES, stateRoot: ONES };
    await assert.rejects(open({ checkpoint }), /^Error: l1: light mode does not compare with L1/);
  });
});

const recording = new URL("../../../shared/vectors/recorded-chain/", import.meta.url);
const missing = existsSync(recording) ? false : `${recording.pathname} is not there`;

describe("L1 beside a recording", { skip: missing }, () => {
  const read = (name) => readFileSync(new URL(name, recording));
  let options, l1, end, answers;
  before(async () => {
    const [chain, genesis] = ["chainspec.json", "genesis-allocs.json"].map((name) => JSON.parse(read(name)));
    options = { chain, genesis, stream: new Uint8Array(read("data-stream.bin.gz")) };
    const replica = await createReplica(options);
    await until("batch 4 begins", () => replica.status.verified?.batch >= 4);
    const ask = async (method, ...params) => replica.provider.request({ method, params });
    const { stateRoot, localExitRoot, blocks } = await ask("zkevm_getBatchByNumber", "0x3");
    end = { batch: 3, stateRoot, localExitRoot };
    answers = { block: Number((await ask("eth_getBlockByHash", blocks.at(-1), false)).number), chainId: chain.chainId };
    await replica.close();
  });
  beforeEach(async () => {
    const hasher = own(await devnet("--block-time", "0"));
    l1 = own(await l1Node(answers.chainId, hasher.url));
  });
  const open = async () => own(await createReplica({ ...options, l1: optionOf(l1) }));

  it("that agrees makes it final", async () => {
    l1.prove(end);
    const replica = await open();
    await until("it is final", () => replica.status.l1.finalized !== null);
    assert.deepEqual(replica.status.l1.finalized, { block: answers.block, batch: 3 });
  });

  it("that does not stops it, also where there is no main node to turn to", async () => {
    l1.prove({ ...end, stateRoot: ONES });
    const replica = await open();
    await until("it is told", () => replica.status.halted !== null);
    assert.deepEqual([replica.status.halted.block, replica.status.halted.expected], [answers.block, ONES]);
    const { verified } = replica.status;
    const questions = l1.asked.length;
    await until("L1 was asked twice more", () => l1.asked.length >= questions + 10);
    assert.deepEqual(replica.status.verified, verified);
    l1.prove(end);
    await until("it goes on", () => replica.status.verified.number > verified.number);
    assert.deepEqual([replica.status.halted, replica.status.l1.finalized.batch], [null, 3]);
  });
});
