// Light mode in Node: from a checkpoint on, without the state.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import { createReplica, MismatchError } from "../../wasm/npm/dist/index.js";
import { answer, devnet, until } from "./world.mjs";

const SYSTEM = "0x000000000000000000000000000000005ca1ab1e";
const hex = (number) => `0x${number.toString(16)}`;

/** A block of a devnet as something to trust. */
async function checkpointOf(world, block) {
  const { number, hash, stateRoot } = await world.rpc("eth_getBlockByNumber", block, false);
  return { number: Number(number), hash, stateRoot };
}

/** Passes requests on, counts them, and does to the answers what `tamper` says. */
async function between(url) {
  const proxy = { posts: [], tamper: (_method, result) => result };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const asked = JSON.parse(body);
    proxy.posts.push([asked].flat().map(({ method }) => method));
    const found = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    const said = await found.json();
    for (const one of [said].flat()) {
      const { method } = [asked].flat().find(({ id }) => id === one.id);
      if ("result" in one) one.result = proxy.tamper(method, one.result);
    }
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}/`;
  proxy.close = () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections()));
  return proxy;
}

/** What is read of the state and of blocks, at a block. */
async function questions(request, number) {
  const at = hex(number);
  const block = await request("eth_getBlockByNumber", at, true);
  const addresses = new Set([SYSTEM, block?.miner]);
  for (const { from, to } of block?.transactions.slice(0, 2) ?? []) [from, to].forEach((one) => addresses.add(one));
  const asked = [
    ["eth_getBlockByNumber", at, true],
    ["eth_getBlockReceipts", at],
    ["eth_getLogs", { fromBlock: at, toBlock: at }],
  ];
  for (const address of addresses) {
    if (!address) continue;
    const balanceOf = { to: address, data: `0x70a08231${"11".repeat(32)}` };
    asked.push(
      ["eth_getBalance", address, at],
      ["eth_getTransactionCount", address, at],
      ["eth_getCode", address, at],
      ["eth_getStorageAt", address, "0x0", at],
      ["eth_call", balanceOf, at],
      ["eth_estimateGas", balanceOf, at],
      // What the chain remembers of earlier blocks.
      ["eth_getBalance", address, "0x1"],
    );
  }
  return asked;
}

/** The whole answer of a replica. */
const ask = async (replica, method, ...params) =>
  JSON.parse(await replica.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })));
const requestOf = (replica) => async (method, ...params) => (await ask(replica, method, ...params)).result;

describe("a light replica", () => {
  let world, proxy, checkpoint, replica;
  before(async () => {
    world = await devnet("--block-time", "0", "--traffic", "50");
    await world.reach(30);
    proxy = await between(world.url);
    checkpoint = await checkpointOf(world, "latest");
  });
  after(async () => {
    await replica?.close();
    await Promise.all([proxy.close(), world.close()]);
  });

  it("has its first proved balance after four requests at most", async () => {
    replica = await createReplica({ mainNode: proxy.url, chain: world.chain, checkpoint });
    const balance = await replica.provider.request({ method: "eth_getBalance", params: [SYSTEM, "latest"] });
    assert.ok(proxy.posts.length <= 4, JSON.stringify(proxy.posts));
    assert.equal(balance, await world.rpc("eth_getBalance", SYSTEM, hex(checkpoint.number)));
    assert.deepEqual(proxy.posts.flat().filter((method) => method.startsWith("eth_getBalance")), []);
  });

  it("verifies each block behind its checkpoint, and says so", async () => {
    const blocks = [];
    replica.on("block", (block) => blocks.push(block));
    const { mode, storage, checkpoint: trusted, verified } = await replica.waitSynced();
    assert.deepEqual([mode, storage, trusted, verified.number], ["light", "memory", checkpoint, checkpoint.number]);
    const height = await world.reach(checkpoint.number + 12);
    await until("the new blocks are verified", () => replica.status.verified.number >= height);
    assert.deepEqual(
      blocks.map(({ number }) => number),
      Array.from({ length: 12 }, (_, index) => checkpoint.number + 1 + index),
    );
    for (const { claimed, computed } of blocks) assert.deepEqual(claimed, computed);
    const theirs = await world.rpc("eth_getBlockByNumber", hex(height), false);
    assert.deepEqual([blocks.at(-1).hash, blocks.at(-1).stateRoot], [theirs.hash, theirs.stateRoot]);
    assert.ok(replica.status.stored < 16 << 20);
  });

  it("answers what the main node answers", async () => {
    const height = replica.status.verified.number;
    for (const number of [height, height - 5]) {
      for (const [method, ...params] of await questions(world.rpc, number)) {
        const theirs = await answer(world.url, method, params);
        assert.deepEqual(await ask(replica, method, ...params), theirs, `${method} ${JSON.stringify(params)}`);
      }
    }
    const logs = [{ fromBlock: hex(checkpoint.number + 1), toBlock: "latest" }];
    assert.deepEqual(await ask(replica, "eth_getLogs", ...logs), await answer(world.url, "eth_getLogs", logs));
    const { error } = await ask(replica, "eth_getBlockByNumber", hex(checkpoint.number - 1), false);
    assert.equal(error.code, 4444);
  });

  it("tells subscriptions of each block", async () => {
    const heads = [];
    const listener = (message) => heads.push(Number(message.data.result.number));
    replica.provider.on("message", listener);
    await replica.provider.request({ method: "eth_subscribe", params: ["newHeads"] });
    const height = Number(await world.rpc("eth_blockNumber"));
    await world.rpc("devnet_mine", 2);
    await until("two heads came", () => heads.length >= 2);
    assert.deepEqual(heads, [height + 1, height + 2]);
    replica.provider.removeListener("message", listener);
  });

  it("takes no proof that is none, and says what it lacks", async () => {
    const trusted = await checkpointOf(world, "latest");
    const at = hex(trusted.number);
    const [{ address }] = await world.rpc("devnet_accounts");
    const truth = await world.rpc("eth_getBalance", address, at);
    const changed = (result, change) => ({ ...result, balance: "0x1", balanceProof: change(result.balanceProof) });
    for (const [what, change] of Object.entries({
      "altered nodes": (proof) => proof.map((node) => node.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))),
      "empty nodes": (proof) => proof.map(() => "0x"),
      "no nodes": () => [],
      "half a path": (proof) => proof.slice(0, proof.length >> 1),
    })) {
      const fresh = await createReplica({ mainNode: proxy.url, chain: world.chain, checkpoint: trusted });
      await fresh.waitSynced();
      proxy.tamper = (method, result) => (method === "zkevm_getProof" ? changed(result, change) : result);
      const { result, error } = await ask(fresh, "eth_getBalance", address, at);
      proxy.tamper = (_method, result) => result;
      assert.deepEqual([result, error?.code], [undefined, -32002], what);
      assert.equal((await ask(fresh, "eth_getBalance", address, at)).result, truth);
      await fresh.close();
    }
  });

  it("goes on after a panic, from its checkpoint", async () => {
    const height = replica.status.verified.number;
    await assert.rejects(replica.call({ call: "panic" }), /started again/);
    assert.equal(Number(await replica.provider.request({ method: "eth_chainId" })), world.chain.chainId);
    await until("it is where it was", () => replica.status.synced && replica.status.verified?.number >= height);
    assert.equal(replica.status.restarts, 1);
  });

  it("goes on from where another one was, fed by a full replica", async () => {
    const full = await world.replica();
    const height = await world.reach(replica.status.verified.number + 5);
    await until("the full replica is there", async () => (await answer(full.url, "eth_blockNumber", [])).result === hex(height));
    const next = await createReplica({ mainNode: full.url, chain: world.chain, checkpoint: replica.status.verified });
    await until("it is there, too", () => next.status.verified?.number === height);
    assert.equal(await requestOf(next)("eth_getBalance", SYSTEM, hex(height)), await world.rpc("eth_getBalance", SYSTEM, hex(height)));
    await next.close();
    await full.stop();
  });

  it("believes its checkpoint, and not the main node", async () => {
    const other = { ...checkpoint, hash: `0x${"12".repeat(32)}` };
    const replica = await createReplica({ mainNode: proxy.url, chain: world.chain, checkpoint: other });
    await assert.rejects(replica.provider.request({ method: "eth_getBalance", params: [SYSTEM, "latest"] }));
    assert.match(replica.status.trouble, /is not the checkpoint's/);
    assert.deepEqual([replica.status.unsound, replica.status.verified], [true, null]);
    await replica.close();
    const root = { ...checkpoint, stateRoot: `0x${"12".repeat(32)}` };
    const rootless = await createReplica({ mainNode: proxy.url, chain: world.chain, checkpoint: root });
    await until("the trouble is told", () => rootless.status.unsound);
    assert.equal(rootless.status.verified, null);
    await rootless.close();
  });

  it("says what options cannot be used", async () => {
    const { chain } = world;
    const refused = (options, why) => assert.rejects(createReplica({ chain, mainNode: world.url, ...options }), why);
    await refused({ checkpoint: {} }, /^Error: checkpoint: /);
    await refused({ checkpoint: { ...checkpoint, hash: "0x12" } }, /^Error: checkpoint: /);
    await refused({ checkpoint, stream: "http://127.0.0.1:1/" }, /^Error: stream: /);
    await refused({ chain: { no: 1 }, checkpoint }, /^Error: chain: /);
    await refused({}, /^Error: genesis: /);
  });
});

/** From where a lie is told to the end: in these blocks every kind finds what it is about. */
const FIRST = 9;
const BLOCKS = 40;

describe("a main node that lies to a light replica", () => {
  let world, checkpoint;
  before(async () => {
    world = await devnet("--traffic", "150", "--block-time", "0.02", "--blocks", String(BLOCKS));
    await until("the chain is there", async () => Number(await world.rpc("eth_blockNumber")) >= BLOCKS);
    checkpoint = await checkpointOf(world, "0x1");
  });
  after(() => world.close());

  it("is found out, of each kind, and nothing of it is served", async (suite) => {
    const kinds = await world.rpc("devnet_listLies");
    assert.ok(kinds.length >= 20);
    for (const { kind, overRpc } of kinds) await suite.test(kind, () => meet(kind, overRpc));
  });

  async function meet(kind, overRpc) {
    await world.rpc("devnet_lie", kind, FIRST);
    const [lie] = await world.rpc("devnet_lies");
    const replica = await createReplica({ mainNode: world.url, chain: world.chain, checkpoint });
    const read = async () => {
      const asked = await questions(requestOf(replica), replica.status.verified.number);
      return Promise.all(asked.map(async ([method, ...params]) => [method, params, await ask(replica, method, ...params)]));
    };
    try {
      if (overRpc.untold) {
        await replica.waitSynced();
        assert.equal(replica.status.verified.number, BLOCKS);
      } else {
        await until("it is found out", () => replica.status.halted !== null || replica.status.unsound);
        const { halted, verified, trouble } = replica.status;
        assert.ok(verified.number <= lie.toldAt, `block ${verified.number} was taken`);
        if (overRpc.unsound) {
          assert.equal(halted, null);
          assert.ok(trouble.includes(overRpc.unsound), trouble);
        } else {
          assert.ok(halted, trouble);
          assert.deepEqual([halted.block, halted.claim], [lie.caughtAt, lie.claim]);
          await assert.rejects(replica.waitSynced(), MismatchError);
          const judgement = await replica.checkEvidence(await replica.evidence());
          assert.deepEqual([judgement.verdict, judgement.mismatch], ["wrong", halted]);
        }
      }
      const during = await read();
      await world.rpc("devnet_honest");
      await until("it has all of the chain", () => replica.status.synced && replica.status.verified.number === BLOCKS);
      assert.equal(replica.status.halted, null);
      // What was verified before the lie is served while it is told, too.
      for (const [method, params, said] of [...during, ...(await read())]) {
        assert.deepEqual(said, await answer(world.url, method, params), `${method} ${JSON.stringify(params)}`);
      }
      const { hash } = await world.rpc("eth_getBlockByNumber", hex(BLOCKS), false);
      assert.equal(replica.status.verified.hash, hash);
    } finally {
      await world.rpc("devnet_honest");
      await replica.close();
    }
  }
});
