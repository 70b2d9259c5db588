// The README's examples, as they stand there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { site } from "./site.mjs";
import { devnet } from "./world.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const examples = here("../../wasm/npm/examples/");
const readme = readFileSync(here("../../wasm/npm/README.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "zk-replica-examples-"));
const said = { quick: /^block \d+: \d+ wei$/m, viem: /^\d+n$/m, ethers: /^\d+n$/m, lies: /says that the state root is 0x/, light: /^light, block \d+: \d+ wei$/m, snapshot: /^full, block \d+$/m, l1: /^L1 block \d+: batch 1 is proved, and the same up to block 1$/m };
const worlds = {};

before(async () => {
  // A stranger's project: the package is where npm puts it.
  mkdirSync(join(folder, "node_modules"));
  for (const name of ["viem", "ethers"]) symlinkSync(here(`../clients/node_modules/${name}`), join(folder, "node_modules", name));
  const own = join(folder, "node_modules/zk-replica");
  mkdirSync(own);
  for (const part of ["package.json", "dist"]) cpSync(here(`../../wasm/npm/${part}`), join(own, part), { recursive: true });
  for (const [name, options] of Object.entries({ true: [], lies: ["--lie", "state-root@5"] })) {
    const world = await devnet("--block-time", "0", "--l1", "127.0.0.1:0", ...options);
    await world.reach(12);
    const { checkpoint, file } = await world.snapshot(3);
    const json = (value) => Buffer.from(JSON.stringify(value));
    const files = await site({
      "chainspec.json": json(world.chain),
      "genesis-allocs.json": json(world.genesis),
      "checkpoint.json": json(checkpoint),
      "snapshot.gz": gzipSync(file),
    });
    worlds[name] = { world, files };
  }
});
after(async () => {
  for (const { world, files } of Object.values(worlds)) await Promise.all([world.close(), files.close()]);
  rmSync(folder, { recursive: true });
});

for (const file of readdirSync(examples)) {
  const name = file.replace(".mjs", "");
  it(`${name} is in the README, and works`, async () => {
    const text = readFileSync(join(examples, file), "utf8");
    assert.ok(readme.includes(`\`\`\`js\n${text}\`\`\`\n`), `${file} stands in the README`);
    const { world, files } = worlds[name] ?? worlds.true;
    const local = text.replaceAll("http://127.0.0.1:8123", world.url).replaceAll("http://127.0.0.1:8545", world.l1).replaceAll("http://127.0.0.1:8080/", `${files.url}files/`);
    writeFileSync(join(folder, file), local);
    const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder, timeout: 60_000 });
    assert.match(stdout, said[name]);
  });
}
