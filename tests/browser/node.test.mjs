// The package in Node: the same engine, in the script's own thread.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { checkEvidence, createReplica, MismatchError, ProviderRpcError } from "../../wasm/npm/dist/index.js";
import { createReplica as createInline } from "../../wasm/npm/dist/inline.js";
import { answer, devnet, until } from "./world.mjs";

const recording = new URL("../../../shared/vectors/recorded-chain/", import.meta.url);
const missing = existsSync(recording) ? false : `${recording.pathname} is not there`;

describe("a replica that follows a devnet", () => {
  let world, replica;
  before(async () => {
    world = await devnet("--block-time", "0", "--traffic", "50");
    await world.reach(30);
    replica = await createReplica({ mainNode: world.url, chain: world.chain, genesis: world.genesis });
  });
  after(async () => {
    await replica.close();
    await world.close();
  });

  it("verifies every block, and says so", async () => {
    const blocks = [];
    replica.on("block", (block) => blocks.push(block));
    const status = await replica.waitSynced();
    assert.ok(status.verified.number >= 30);
    assert.deepEqual([status.mode, status.storage, status.halted, status.restarts], ["full", "memory", null, 0]);
    const height = await world.reach(status.verified.number + 5);
    await until("the new blocks are verified", () => replica.status.verified.number >= height);
    const last = blocks.at(-1);
    assert.deepEqual(last.claimed, last.computed);
    const theirs = await world.rpc("eth_getBlockByNumber", `0x${last.number.toString(16)}`, false);
    assert.deepEqual([last.hash, last.stateRoot, last.transactions], [theirs.hash, theirs.stateRoot, theirs.transactions.length]);
  });

  it("answers what the main node answers", async () => {
    const height = Number(await replica.provider.request({ method: "eth_blockNumber" }));
    const at = `0x${height.toString(16)}`;
    const address = (await world.rpc("devnet_accounts"))[0].address;
    for (const [method, ...params] of [
      ["eth_chainId"],
      ["eth_getBalance", address, at],
      ["eth_getTransactionCount", address, "0x1"],
      ["eth_getBlockByNumber", at, true],
      ["eth_getBlockReceipts", at],
      ["eth_getLogs", { fromBlock: "0x0", toBlock: at }],
      ["zkevm_getProof", address, ["0x0"], at],
      ["eth_gasPrice"],
    ]) {
      const theirs = await answer(world.url, method, params);
      const ours = JSON.parse(await replica.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })));
      assert.deepEqual(ours, theirs, method);
    }
  });

  it("throws EIP-1193 errors", async () => {
    const request = (method, params) => replica.provider.request({ method, params });
    await assert.rejects(request("eth_nothing"), (error) => error instanceof ProviderRpcError && error.code === -32601);
    const call = { to: "0x5ca1ab1e00000000000000000000000000000000", data: "0x", value: "0xffffffffffffffffffffffffff" };
    await assert.rejects(request("eth_call", [call, "latest"]), ProviderRpcError);
    await assert.rejects(request(""), (error) => error.code === -32602);
  });

  it("tells subscriptions of each block", async () => {
    const heads = [];
    const listener = (message) => heads.push(message);
    replica.provider.on("message", listener);
    const subscription = await replica.provider.request({ method: "eth_subscribe", params: ["newHeads"] });
    await world.rpc("devnet_mine", 2);
    await until("two heads came", () => heads.length >= 2);
    assert.equal(heads[0].type, "eth_subscription");
    assert.equal(heads[0].data.subscription, subscription);
    assert.match(heads[0].data.result.hash, /^0x[0-9a-f]{64}$/);
    assert.equal(await replica.provider.request({ method: "eth_unsubscribe", params: [subscription] }), true);
    replica.provider.removeListener("message", listener);
  });

  it("goes on after a panic, which is a rejected promise", async () => {
    const problems = [];
    const stop = replica.on("error", (problem) => problems.push(problem.kind));
    const before = replica.status.verified.number;
    await assert.rejects(replica.call({ call: "panic" }), /started again/);
    assert.equal(await replica.provider.request({ method: "eth_chainId" }), await world.rpc("eth_chainId"));
    await until("it is where it was", () => replica.status.synced && replica.status.verified?.number >= before);
    assert.deepEqual(problems, ["engine"]);
    assert.equal(replica.status.restarts, 1);
    stop();
  });

  it("is there in a single file, too", async () => {
    const inline = await createInline({ mainNode: world.url, chain: world.chain, genesis: world.genesis });
    await inline.waitSynced();
    assert.equal(inline.status.verified.hash, replica.status.verified.hash);
    await inline.close();
  });
});

describe("a main node that lies", () => {
  let world;
  before(async () => (world = await devnet("--block-time", "0", "--traffic", "50", "--lie", "state-root@8")));
  after(() => world.close());

  it("is told, and not served", async () => {
    await world.reach(20);
    const replica = await createReplica({ mainNode: world.url, chain: world.chain, genesis: world.genesis });
    const told = [];
    replica.on("mismatch", (mismatch) => told.push(mismatch));
    await assert.rejects(replica.waitSynced(), MismatchError);
    const { halted, verified, evidence } = replica.status;
    assert.equal(told.length, 1);
    assert.deepEqual(halted, told[0]);
    assert.equal(halted.claim, "state root");
    assert.notEqual(halted.expected, halted.computed);
    assert.equal(verified.number, halted.block - 1);
    assert.equal(Number(await replica.provider.request({ method: "eth_blockNumber" })), halted.block - 1);
    assert.ok(evidence);

    const file = await replica.evidence();
    const judgement = await replica.checkEvidence(file);
    assert.deepEqual([judgement.verdict, judgement.mismatch, judgement.chainId], ["wrong", halted, world.chain.chainId]);
    const altered = file.slice();
    altered[altered.length >> 1] ^= 1;
    assert.equal((await replica.checkEvidence(altered)).verdict, "refused");
    assert.deepEqual(await checkEvidence(file), judgement);
    assert.equal((await checkEvidence(altered)).verdict, "refused");

    await world.rpc("devnet_honest");
    await until("it goes on with what is true", () => replica.status.halted === null && replica.status.verified.number >= 20);
    await replica.close();
  });
});

describe("options that cannot be used", () => {
  const chain = { chainId: 7 };
  it("are refused at once", async () => {
    await assert.rejects(createReplica({ chain: { no: 1 }, genesis: {} }), /^Error: chain: /);
    await assert.rejects(createReplica({ chain, genesis: { no: 1 } }), /^Error: genesis: /);
    await assert.rejects(createReplica({ chain: "file:///not/there.json", genesis: {} }), /ENOENT/);
    await assert.rejects(createReplica({ chain, genesis: {}, wasmBytes: new Uint8Array(8) }), WebAssembly.CompileError);
    const light = new URL("../../wasm/npm/dist/zk-replica-light.wasm", import.meta.url);
    await assert.rejects(createReplica({ chain, genesis: {}, wasmUrl: light }), /^Error: wasmUrl, wasmBytes: not the file that is needed here, zk-replica\.wasm$/);
    const full = readFileSync(new URL("../../wasm/npm/dist/zk-replica.wasm", import.meta.url));
    await assert.rejects(checkEvidence(new Uint8Array(), { wasmBytes: full }), /not the file that is needed here, zk-replica-light\.wasm$/);
  });
  it("of sources are told while it runs", async () => {
    const replica = await createReplica({ chain, genesis: {}, mainNode: "http://127.0.0.1:1" });
    await until("the trouble is told", () => replica.status.trouble !== null);
    assert.match(replica.status.trouble, /^http:\/\/127\.0\.0\.1:1/);
    assert.equal(replica.status.verified, null);
    await replica.close();
    await assert.rejects(replica.provider.request({ method: "eth_chainId" }), (error) => error.code === 4900);
  });
});

it("the recorded chain is true", { skip: process.env.CI ? false : missing }, async () => {
  const file = (name) => new URL(name, recording).href;
  const replica = await createReplica({
    chain: file("chainspec.json"),
    genesis: file("genesis-allocs.json"),
    stream: readFileSync(new URL("data-stream.bin.gz", recording)),
  });
  const { verified } = await replica.waitSynced();
  assert.deepEqual(
    [verified.number, verified.stateRoot, verified.hash, verified.totals.transactions],
    [
      11317,
      "0xb94132b126ad8ad6b126f64e3c78944f0a6b46a46f0fed4da437cd47108ee7ee",
      "0xefb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5",
      465,
    ],
  );
  await replica.close();
});
