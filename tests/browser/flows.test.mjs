// The libraries over the EIP-1193 provider: the same flows as over HTTP.

import { createRequire } from "node:module";
import { after, describe } from "node:test";
import { createReplica } from "../../wasm/npm/dist/index.js";
import { replicaTransport } from "../../wasm/npm/dist/viem.js";
import { ethersFlow } from "../clients/flows/ethers.mjs";
import { viemFlow } from "../clients/flows/viem.mjs";
import { web3Flow } from "../clients/flows/web3.mjs";
import { steps } from "../clients/steps.mjs";
import { devnet } from "./world.mjs";

const { BrowserProvider } = createRequire(new URL("../clients/", import.meta.url))("ethers");

const world = await devnet("--block-time", "0.2");
const replica = await createReplica({ mainNode: world.url, chain: world.chain, genesis: world.genesis });
await replica.waitSynced();
const keys = (await world.rpc("devnet_accounts")).map(({ privateKey }) => privateKey);
const { chainId } = world.chain;
after(async () => {
  await replica.close();
  await world.close();
});

describe("ethers 6", () => {
  const provider = new BrowserProvider(replica.provider, chainId, { cacheTimeout: -1, pollingInterval: 200 });
  after(() => provider.destroy());
  steps(ethersFlow({ provider, socket: provider, key: keys[0], chainId }));
});

describe("viem 2", () => {
  // Of its transports only webSocket() can subscribe: over all others viem polls.
  steps(viemFlow({ transport: replicaTransport(replica), key: keys[1], chainId }));
});

describe("web3.js 4", () => {
  steps(web3Flow({ provider: replica.provider, socket: replica.provider, key: keys[2], chainId }));
});
