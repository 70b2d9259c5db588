// The answers of a replica beside those of its main node.

import assert from "node:assert/strict";
import { answer, rpc, until } from "./world.mjs";

const TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const UNKNOWN = `0x${"77".repeat(32)}`;
/** Parts of a batch that no block says: a replica without L1 does not know them. */
const ONLY_L1 = ["mainnetExitRoot", "rollupExitRoot"];
const hex = (number) => `0x${number.toString(16)}`;

/** Asks both the same about every block up to a common height, and about everything in them. */
export async function compare({ devnet, replica }) {
  const height = Number(await rpc(devnet, "eth_blockNumber"));
  await until(`block ${height} is verified`, async () => Number(await rpc(replica, "eth_blockNumber")) >= height);

  const compared = new Map();
  const same = async (method, ...params) => {
    const [theirs, ours] = await Promise.all([answer(devnet, method, params), answer(replica, method, params)]);
    if (method === "zkevm_getBatchByNumber") [theirs, ours].forEach(({ result }) => ONLY_L1.forEach((name) => delete result[name]));
    const what = `${method} ${JSON.stringify(params)}`;
    assert.deepEqual(ours, theirs, what);
    assert.ok(!("error" in ours) || ours.error.code !== -32601, `${what} is served`);
    compared.set(method, (compared.get(method) ?? 0) + 1);
    return ours.result;
  };

  for (const method of ["eth_chainId", "net_version", "net_listening", "eth_gasPrice", "eth_accounts", "zkevm_getForks"]) {
    await same(method);
  }

  const addresses = new Set([`0x${"00".repeat(20)}`]);
  const transactions = [];
  const batches = new Set();
  for (let number = 0; number <= height; number += 1) {
    const block = await same("eth_getBlockByNumber", hex(number), true);
    await same("eth_getBlockByNumber", hex(number), false);
    await same("eth_getBlockByHash", block.hash, number % 2 === 0);
    await same("eth_getBlockReceipts", hex(number));
    await same("eth_getBlockTransactionCountByNumber", hex(number));
    await same("eth_getBlockTransactionCountByHash", block.hash);
    await same("zkevm_getFullBlockByNumber", hex(number), true);
    batches.add(await same("zkevm_batchNumberByBlockNumber", hex(number)));
    addresses.add(block.miner);
    for (const transaction of block.transactions) {
      transactions.push(transaction);
      for (const address of [transaction.from, transaction.to]) if (address) addresses.add(address);
    }
  }

  for (const { hash, blockHash, transactionIndex } of transactions) {
    await same("eth_getTransactionByHash", hash);
    await same("eth_getRawTransactionByHash", hash);
    await same("eth_getTransactionByBlockHashAndIndex", blockHash, transactionIndex);
    const receipt = await same("eth_getTransactionReceipt", hash);
    if (receipt.contractAddress) addresses.add(receipt.contractAddress);
  }

  for (const address of addresses) {
    for (const block of new Set([0, 1, Math.floor(height / 2), height - 1, height].filter((block) => block >= 0))) {
      await same("eth_getBalance", address, hex(block));
      await same("eth_getTransactionCount", address, hex(block));
      await same("eth_getCode", address, hex(block));
      await same("eth_getStorageAt", address, "0x0", hex(block));
      await same("eth_call", { to: address, data: "0x18160ddd" }, hex(block));
      await same("eth_estimateGas", { to: address, value: "0x0" }, hex(block));
      await same("zkevm_getProof", address, ["0x0"], hex(block));
    }
  }

  for (const number of batches) {
    // The newest batch may have grown between the two answers.
    if (number === hex(Math.max(...[...batches].map(Number)))) continue;
    await same("zkevm_getBatchByNumber", number, true);
    await same("zkevm_getBatchByNumber", number, false);
    await same("zkevm_getForkIdByBatchNumber", number);
  }

  const range = { fromBlock: "0x0", toBlock: hex(height) };
  await same("eth_getLogs", range);
  await same("eth_getLogs", { ...range, topics: [TRANSFER] });
  for (const address of addresses) await same("eth_getLogs", { ...range, address });
  await same("eth_feeHistory", "0x5", hex(height), [25, 75]);

  for (const hash of transactions.slice(-20).map(({ hash }) => hash)) {
    await same("debug_traceTransaction", hash);
    await same("debug_traceTransaction", hash, { tracer: "callTracer", tracerConfig: { withLog: true } });
    await same("debug_traceTransaction", hash, { tracer: "prestateTracer", tracerConfig: { diffMode: true } });
  }

  for (const method of ["eth_getTransactionByHash", "eth_getTransactionReceipt"]) await same(method, UNKNOWN);
  await same("eth_getBlockByHash", UNKNOWN, false);
  await same("eth_getBlockByNumber", hex(height + 1_000_000), false);
  await same("eth_getBalance", UNKNOWN.slice(0, 42), hex(height + 1_000_000));

  assert.ok(transactions.length > 10, `there is something to compare: ${transactions.length} transactions`);
  console.log([...compared].map(([method, count]) => `${method} ${count}`).join(", "));
}
