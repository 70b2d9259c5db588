// The scripted flows of tests/clients in a tab, over the EIP-1193 provider. What the libraries ask is written down.

import { BrowserProvider } from "ethers";
import { replicaTransport } from "../../wasm/npm/dist/viem.js";
import { ethersFlow } from "../clients/flows/ethers.mjs";
import { viemFlow } from "../clients/flows/viem.mjs";
import { web3Flow } from "../clients/flows/web3.mjs";

/** Begins a replica, and gives the names of each library's steps. */
export async function begin(options, keys) {
  const { createReplica } = await import("/dist/index.js");
  const replica = await createReplica(options);
  await replica.waitSynced();
  const asked = new Map();
  const provider = {
    request({ method, params }) {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      asked.set(body, method);
      return replica.provider.request({ method, params });
    },
    on: (event, listener) => (replica.provider.on(event, listener), provider),
    removeListener: (event, listener) => (replica.provider.removeListener(event, listener), provider),
  };
  const { chainId } = options.chain;
  const over = new BrowserProvider(provider, chainId, { cacheTimeout: -1, pollingInterval: 200 });
  const flows = {
    ethers: ethersFlow({ provider: over, socket: over, key: keys[0], chainId }),
    // Of its transports only webSocket() can subscribe: over all others viem polls.
    viem: viemFlow({ transport: replicaTransport({ provider }), key: keys[1], chainId }),
    web3: web3Flow({ provider, socket: provider, key: keys[2], chainId }),
  };
  Object.assign(window, { replica, asked, flows });
  return Object.fromEntries(Object.entries(flows).map(([library, flow]) => [library, Object.keys(flow)]));
}
