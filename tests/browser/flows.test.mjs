// ethers, viem and web3.js in a tab, over the EIP-1193 provider: the same flows as over HTTP, and the same answers, byte by
// byte, as those of a native replica of the same chain.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { steps } from "../clients/steps.mjs";
import { site } from "./site.mjs";
import { devnet, rpc, until } from "./world.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** About connections of their own, or about who answers. */
const OWN = /^(eth_(subscribe|unsubscribe|new\w*Filter|getFilter\w+|uninstallFilter)|web3_clientVersion)$/;

/** The page's script: libraries, flows, and in place of Node's assert what there is of it for browsers. */
async function bundle() {
  const instead = {
    name: "instead",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^node:assert\/strict$/ }, () => ({ path: "assert", namespace: "instead" }));
      onLoad({ filter: /./, namespace: "instead" }, () => ({
        contents: 'import assert from "assert/"; export default assert.strict;',
        resolveDir: here("."),
      }));
      onLoad({ filter: /token\.mjs$/ }, () => ({
        contents: `export const token = ${readFileSync(here("../clients/contracts/token.json"), "utf8")};`,
      }));
    },
  };
  const { outputFiles } = await build({
    entryPoints: [here("flows-page.mjs")],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "error",
    nodePaths: [here("../clients/node_modules")],
    alias: { viem: here("../clients/node_modules/viem") },
    external: ["/dist/index.js"],
    define: { global: "globalThis" },
    banner: { js: "globalThis.process = { env: {}, version: '', versions: {} };" },
    plugins: [instead],
  });
  return Buffer.from(outputFiles[0].contents);
}

const world = await devnet("--block-time", "0");
const [native, pages, browser] = await Promise.all([
  world.replica(),
  bundle().then((flows) => site({ "flows.js": flows })),
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] }),
]);

/** Blocks come until there have been enough. */
let enough = false;
const mining = (async () => {
  while (!enough) {
    await world.rpc("devnet_mine", 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
})();

const page = await browser.newPage();
await page.goto(pages.url);
const keys = (await world.rpc("devnet_accounts")).map(({ privateKey }) => privateKey);
const names = await page.evaluate(
  async ([options, keys]) => (await import("/files/flows.js")).begin(options, keys),
  [{ mainNode: world.url, chain: world.chain, genesis: world.genesis }, keys],
);

after(async () => {
  enough = true;
  await mining;
  await browser.close();
  await Promise.all([native.stop(), pages.close()]);
  await world.close();
});

for (const [library, steps_] of Object.entries(names)) {
  describe(`${library} in a tab`, () => {
    const step = (name) => () => page.evaluate(([library, name]) => flows[library][name](), [library, name]);
    steps(Object.fromEntries(steps_.map((name) => [name, step(name)])));
  });
}

// Last: now nothing moves any more, and there is much that was asked.
it("what they asked is answered as over HTTP, byte by byte", async () => {
  enough = true;
  await mining;
  const height = await world.rpc("eth_blockNumber");
  await until("the native replica is at the tip", async () => (await rpc(native.url, "eth_blockNumber")) === height);
  const head = () => page.evaluate(() => replica.provider.request({ method: "eth_blockNumber" }));
  await until("the tab is at the tip", async () => (await head()) === height);

  const asked = await page.evaluate(() => [...asked]);
  const compared = new Map();
  for (const [body, method] of asked) {
    if (OWN.test(method)) continue;
    const ours = await page.evaluate((body) => replica.send(body), body);
    const theirs = await fetch(native.url, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.equal(ours, await theirs.text(), body);
    compared.set(method, (compared.get(method) ?? 0) + 1);
  }
  for (const method of ["eth_call", "eth_estimateGas", "eth_getLogs", "eth_getTransactionReceipt", "eth_sendRawTransaction"]) {
    assert.ok(compared.has(method), `${method} was asked`);
  }
  console.log([...compared].map(([method, count]) => `${method} ${count}`).join(", "));
});
