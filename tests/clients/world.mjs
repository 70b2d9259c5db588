// A devnet and a replica that follows it, each a process of its own.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = process.env.ZK_REPLICA ?? fileURLToPath(new URL("../../target/release/zk-replica", import.meta.url));

/** Milliseconds that a program has to start, and the replica to come to the tip. */
const PATIENCE = 60_000;

/** Starts both. Everything is gone after `close`. */
export async function open() {
  const folder = mkdtempSync(join(tmpdir(), "zk-replica-clients-"));
  const files = join(folder, "chain");
  const devnet = await start(
    ["devnet", "--block-time", "0.2", "--http", "127.0.0.1:0", "--stream", "127.0.0.1:0", "--genesis-out", files],
    { http: /JSON-RPC (http:\S+)/, stream: /data stream (\S+:\d+)/ },
  );
  const replica = await start(
    [
      "run",
      ...["--stream", devnet.stream, "--main-node", devnet.http, "--db", join(folder, "db"), "--http", "127.0.0.1:0"],
      ...["--genesis", join(files, "genesis-allocs.json"), "--chain", join(files, "chainspec.json")],
    ],
    { http: /serving Web3 at (http:\S+)/ },
  );
  const accounts = await rpc(devnet.http, "devnet_accounts");
  const world = {
    devnet: devnet.http,
    replica: replica.http,
    socket: replica.http.replace(/^http/, "ws"),
    keys: accounts.map(({ privateKey }) => privateKey),
    async close() {
      await Promise.all([replica.stop(), devnet.stop()]);
      rmSync(folder, { recursive: true });
    },
  };
  const head = Number(await rpc(world.devnet, "eth_blockNumber"));
  await until("the replica is at the tip", async () => Number(await rpc(world.replica, "eth_blockNumber")) >= head);
  world.chainId = Number(await rpc(world.replica, "eth_chainId"));
  return world;
}

/** Asks, and gives the result; an error is thrown. */
export async function rpc(url, method, ...params) {
  const { result, error } = await answer(url, method, params);
  if (error) throw new Error(`${method}: ${error.code} ${error.message}`);
  return result;
}

/** Asks, and gives the whole answer. */
export async function answer(url, method, params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  return response.json();
}

/** Waits until `holds`. */
export async function until(what, holds) {
  const end = Date.now() + PATIENCE;
  while (!(await Promise.resolve(holds()).catch(() => false))) {
    if (Date.now() > end) throw new Error(`not so after ${PATIENCE / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Starts the program, and waits until its output has said all of `facts`. */
export async function start(args, facts) {
  const child = spawn(PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const said = [];
  const found = {};
  const complete = new Promise((resolve, reject) => {
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        if (said.length < 200) said.push(line);
        for (const [name, pattern] of Object.entries(facts)) found[name] ??= line.match(pattern)?.[1];
        if (Object.keys(facts).every((name) => found[name] !== undefined)) resolve();
      });
    }
    child.once("error", reject);
    ended.then((code) => reject(new Error(`zk-replica ${args[0]} ended with ${code}:\n${said.join("\n")}`)));
    setTimeout(() => reject(new Error(`zk-replica ${args[0]} did not start:\n${said.join("\n")}`)), PATIENCE).unref();
  });
  await complete.catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  return { ...found, stop: () => (child.kill("SIGTERM"), ended) };
}
