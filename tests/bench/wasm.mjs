// The recorded chain in wasm beside the native program: `node wasm.mjs PROGRAM PACKAGE NAMED`.
//
// PACKAGE is the built package's folder, NAMED one with the same module and the names of its functions. RECORDING= names
// the recording's folder if it is not beside the checkout. Every run is a process of its own; all take turns, and the best
// of each counts.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";

const TURNS = 4;
const recording = process.env.RECORDING
  ? pathToFileURL(`${process.env.RECORDING}/`)
  : new URL("../../../shared/vectors/recorded-chain/", import.meta.url);
const file = (name) => new URL(name, recording);

/** What a share of the time is called, and the functions that it is spent in; the first that fits. */
const SHARES = [
  ["Poseidon", /zk_replica_poseidon/],
  ["keccak", /keccak|sha3/],
  ["signatures", /k256|ecdsa|elliptic_curve|crypto_bigint/],
  ["memory", /dlmalloc|rust_(de|re)?alloc|rdl_|^mem(cpy|cmp|set|move)/],
  ["store", /zk_replica_wasm::store|foldhash|hashbrown|crc32/],
  ["tree, but for its hashes", /zk_replica_core::tree/],
  ["EVM", /revm|zk_replica_core::executor/],
  ["JSON", /serde|zmij|itoa/],
  ["Node: garbage", /^\(garbage collector\)/],
  ["Node: idle and start", /^\((idle|program|root)\)/],
  ["the rest of the module", /::|^__|shim/],
];

function compare(program, dist, named) {
  const native = { seconds: Infinity, user: Infinity };
  const wasm = { seconds: Infinity, user: Infinity, ready: Infinity, memory: 0, peak: 0 };
  const best = (one, turn) => {
    for (const [key, value] of Object.entries(turn)) one[key] = key in { memory: 0, peak: 0 } ? Math.max(one[key], value) : Math.min(one[key], value);
  };
  for (let turn = 0; turn < TURNS; turn += 1) {
    best(native, replayed(program));
    best(wasm, JSON.parse(self("--run", dist)));
  }
  const line = (name, ...columns) => console.log(name.padEnd(30), ...columns.map((column) => String(column).padStart(8)));
  console.log(`\nThe recorded chain, process start to end, best of ${TURNS} turns:`);
  line("", "seconds", "user");
  line("zk-replica replay", native.seconds.toFixed(2), native.user.toFixed(2));
  line("the npm package in Node", wasm.seconds.toFixed(2), wasm.user.toFixed(2));
  line("ratio", (wasm.seconds / native.seconds).toFixed(2), (wasm.user / native.user).toFixed(2));
  console.log(`ready after ${wasm.ready.toFixed(0)} ms; ${mega(wasm.memory)} MB of wasm memory, ${mega(wasm.peak)} MB of the process`);
  console.log("\nWhere the time goes in wasm:");
  for (const [name, share] of JSON.parse(self("--profile", named))) console.log(`  ${name.padEnd(30)} ${(100 * share).toFixed(1).padStart(5)} %`);
}

const mega = (bytes) => (bytes / 1e6).toFixed(0);
const self = (...args) => execFileSync(process.execPath, [fileURLToPath(import.meta.url), ...args], { encoding: "utf8" });

/** One run of the native program: seconds, and those of its threads together. */
function replayed(program) {
  const files = ["stream", "data-stream.bin.gz", "genesis", "genesis-allocs.json", "chain", "chainspec.json"];
  const args = files.map((name, at) => (at % 2 === 0 ? `--${name}` : fileURLToPath(file(name))));
  const start = performance.now();
  const told = execFileSync("sh", ["-c", '"$@" >/dev/null && times', "sh", program, "replay", ...args], { encoding: "utf8" });
  const seconds = (performance.now() - start) / 1e3;
  // The second line is that of the program: "0m4.300s 0m0.210s".
  const [, minutes, rest] = told.split("\n")[1].match(/^(\d+)m([\d.]+)s/);
  return { seconds, user: 60 * Number(minutes) + Number(rest) };
}

/** One run of the package, in this process. */
async function run(dist) {
  const start = performance.now();
  const { createReplica } = await import(pathToFileURL(`${dist}/index.js`));
  const replica = await createReplica({
    chain: file("chainspec.json").href,
    genesis: file("genesis-allocs.json").href,
    stream: readFileSync(file("data-stream.bin.gz")),
  });
  const ready = performance.now() - start;
  await replica.waitSynced();
  const { memory } = replica.status;
  await replica.close();
  const { userCPUTime, maxRSS } = process.resourceUsage();
  console.log(JSON.stringify({ seconds: performance.now() / 1e3, user: userCPUTime / 1e6, ready, memory, peak: maxRSS * 1024 }));
}

/** The shares of a run of the bare engine, from samples. */
async function profile(named) {
  const { default: init, Engine } = await import(pathToFileURL(`${named}/engine.js`));
  await init({ module_or_path: await WebAssembly.compile(readFileSync(`${named}/engine_bg.wasm`)) });
  const text = (name) => readFileSync(file(name), "utf8");
  const engine = new Engine(text("chainspec.json"), text("genesis-allocs.json"), new Uint8Array(32), undefined);
  const stream = gunzipSync(readFileSync(file("data-stream.bin.gz")));
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  engine.beginStream();
  for (let at = 0, next = "work"; next === "work" || next === "stream"; ) {
    ({ next } = JSON.parse(engine.work(50)));
    if (next !== "stream") continue;
    if (at < stream.length) engine.pushStream(stream.subarray(at, (at += 1 << 20)));
    else engine.endStream();
  }
  const { nodes, samples, timeDeltas } = (await session.post("Profiler.stop")).profile;
  const names = new Map(nodes.map(({ id, callFrame }) => [id, callFrame.functionName]));
  const shares = new Map([...SHARES, ["script"]].map(([name]) => [name, 0]));
  const total = timeDeltas.reduce((sum, delta) => sum + delta, 0);
  samples.forEach((id, at) => {
    const [share] = SHARES.find(([, functions]) => functions.test(names.get(id))) ?? ["script"];
    shares.set(share, shares.get(share) + timeDeltas[at] / total);
  });
  console.log(JSON.stringify([...shares].sort(([, a], [, b]) => b - a)));
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === "--run") await run(...rest);
else if (mode === "--profile") await profile(...rest);
else if (!existsSync(recording)) console.log(`wasm: there is no recording at ${fileURLToPath(recording)}; RECORDING= names one`);
else compare(mode, ...rest);
