// The libraries, over HTTP and WebSocket.

import { JsonRpcProvider, WebSocketProvider } from "ethers";
import { after, describe, it } from "node:test";
import { http, webSocket } from "viem";
import { ethersFlow } from "./flows/ethers.mjs";
import { viemFlow } from "./flows/viem.mjs";
import { web3Flow } from "./flows/web3.mjs";
import { compare } from "./compare.mjs";
import { steps } from "./steps.mjs";
import { open } from "./world.mjs";

const world = await open();
after(() => world.close());
const { replica, socket, keys, chainId } = world;

describe("ethers 6", () => {
  const provider = new JsonRpcProvider(replica, chainId, { cacheTimeout: -1, pollingInterval: 200 });
  const over = new WebSocketProvider(socket, chainId);
  after(() => Promise.all([provider.destroy(), over.destroy()]));
  steps(ethersFlow({ provider, socket: over, key: keys[0], chainId }));
});

describe("viem 2", () => {
  steps(viemFlow({ transport: http(replica), socket: webSocket(socket, { reconnect: false }), key: keys[1], chainId }));
});

describe("web3.js 4", () => {
  steps(web3Flow({ provider: replica, socket, key: keys[2], chainId }));
});

// Last: now there is a chain to compare.
describe("the replica and the main node", () => {
  it("answer the same, field by field, to every method that both serve", () => compare(world));
});
