// A devnet that a page can speak to.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rpc, start, until } from "../clients/world.mjs";

export { answer, rpc, until } from "../clients/world.mjs";

/** The state after this block of a database. */
export function snapshot(db, block) {
  const out = `${db}-${block}`;
  const said = execFileSync(process.env.ZK_REPLICA, ["db", "snapshot", "--json", ...["--db", db, "--block", `${block}`, "--out", out]]);
  return { checkpoint: JSON.parse(said), file: readFileSync(out) };
}

/** A main node of its own, and the files that describe its chain. `options` are the devnet's. */
export async function devnet(...options) {
  const folder = mkdtempSync(join(tmpdir(), "zk-replica-browser-"));
  const facts = { http: /JSON-RPC (http:\S+)/, stream: /data stream (\S+:\d+)/ };
  if (options.includes("--l1")) facts.l1 = /^L1 (http:\S+)/;
  const { http, stream, l1, stop } = await start(
    ["devnet", "--http", "127.0.0.1:0", "--stream", "127.0.0.1:0", "--genesis-out", folder, ...options],
    facts,
  );
  const read = (name) => JSON.parse(readFileSync(join(folder, name)));
  const world = {
    url: http,
    /** Its L1, if it was asked for. */
    l1,
    chain: read("chainspec.json"),
    genesis: read("genesis-allocs.json"),
    /** Calls the devnet. */
    rpc: (method, ...params) => rpc(http, method, ...params),
    /** Makes blocks until the chain has this one. */
    async reach(block) {
      for (;;) {
        const height = Number(await world.rpc("eth_blockNumber"));
        if (height >= block) return height;
        await world.rpc("devnet_mine", block - height);
      }
    },
    /** A native replica that follows it, and serves at `url`. */
    async replica() {
      const { http: url, stop } = await start(
        [
          ...["run", "--stream", stream, "--main-node", http, "--db", join(folder, "db"), "--http", "127.0.0.1:0"],
          ...["--genesis", join(folder, "genesis-allocs.json"), "--chain", join(folder, "chainspec.json")],
        ],
        { http: /serving Web3 at (http:\S+)/ },
      );
      return { url, stop };
    },
    /** What a native replica has of the state after this block: what to trust, and the file. */
    async snapshot(block) {
      const { url, stop } = await world.replica();
      await until("it is verified", async () => Number(await rpc(url, "eth_blockNumber")) >= block);
      await stop();
      return snapshot(join(folder, "db"), block);
    },
    async close() {
      await stop();
      rmSync(folder, { recursive: true });
    },
  };
  await until("the devnet answers", () => world.rpc("eth_chainId"));
  return world;
}
