// An L1 node that knows one contract: the rollup manager, as far as a replica reads it.

import { createServer } from "node:http";
import { rpc } from "../clients/world.mjs";

export const MANAGER = `0x${"11".repeat(20)}`;
export const ROLLUP = 1;

const word = (value) => BigInt(value).toString(16).padStart(64, "0");

/** What a batch's end is on L1, of the chain that this main node has. */
export async function endOf(url, batch) {
  const { stateRoot, localExitRoot } = await rpc(url, "zkevm_getBatchByNumber", batch);
  return { batch, stateRoot, localExitRoot };
}

/** It has the rollup of `chainId`. `hasher` is a node that has web3_sha3. */
export async function l1Node(chainId, hasher) {
  const entry = async (map, key) => BigInt(await rpc(hasher, "web3_sha3", `0x${word(key)}${word(map)}`));
  const first = await entry(129, ROLLUP);
  const node = {
    /** Number of its last block. */
    block: 1000,
    chainId,
    /** The end of the last batch that is proved; none: it says nothing. */
    proved: undefined,
    /** What it does instead of answering. */
    instead: undefined,
    /** What it was asked. */
    asked: [],
  };
  const storage = async (slot) => {
    const { batch, stateRoot, localExitRoot } = node.proved;
    if (slot === first) return BigInt(node.chainId) << 160n;
    if (slot === first + 6n) return (BigInt(batch) << 64n) + BigInt(batch + 1);
    if (slot === first + 5n) return localExitRoot;
    return slot === (await entry(first + 2n, batch)) ? stateRoot : 0;
  };
  const server = createServer(async (request, response) => {
    const headers = { "content-type": "application/json", "access-control-allow-origin": "*", "access-control-allow-headers": "*" };
    if (request.method === "OPTIONS") return response.writeHead(204, headers).end();
    let body = "";
    for await (const part of request) body += part;
    const { id, method, params } = JSON.parse(body);
    node.asked.push([method, ...params]);
    if (node.instead) return node.instead(response);
    if (!node.proved) return undefined;
    const hash = `0x${word(node.block)}`;
    const result =
      method === "eth_getBlockByNumber" ? { number: `0x${node.block.toString(16)}`, hash } : `0x${word(await storage(BigInt(params[1])))}`;
    return response.writeHead(200, headers).end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(node, {
    url: `http://127.0.0.1:${server.address().port}/`,
    /** From its next block on another batch is the last that is proved. */
    prove(end) {
      node.block += 1;
      node.proved = end;
    },
    close: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())),
  });
}
