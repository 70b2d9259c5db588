// Builds the page: `node build.mjs [--out DIR] [--engine MODULE]`.
//
// The engine is the package `zk-replica` (wasm/npm, built). What it loads at run time, its worker and its wasm, stands
// beside the script, where it looks for them. Tests give another engine.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const packaged = join(here, "../wasm/npm/dist/index.js");
const { values } = parseArgs({ options: { out: { type: "string" }, engine: { type: "string" } } });
const out = resolve(values.out ?? join(here, "dist"));
const engine = resolve(values.engine ?? packaged);

if (!existsSync(engine)) {
  console.error(`there is no engine at ${relative(process.cwd(), engine)}: build the package in wasm/npm first`);
  process.exit(1);
}

const common = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: ["chrome111", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "none",
  logLevel: "warning",
};

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "fonts"), { recursive: true });
await build({
  ...common,
  entryPoints: ["src/main.ts"],
  outfile: join(out, "main.js"),
  alias: { "zk-replica": engine },
});
await build({ ...common, entryPoints: ["style.css"], outfile: join(out, "style.css"), external: ["fonts/*"] });

for (const name of ["index.html", "icon.svg", "manifest.webmanifest"]) cpSync(join(here, name), join(out, name));
const fonts = {
  sans: "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
  serif: "@fontsource-variable/source-serif-4/files/source-serif-4-latin-wght-normal.woff2",
  mono: "@fontsource/ibm-plex-mono/files/ibm-plex-mono-latin-400-normal.woff2",
};
for (const [name, file] of Object.entries(fonts)) {
  cpSync(join(here, "node_modules", file), join(out, "fonts", `${name}.woff2`));
  cpSync(join(here, "node_modules", dirname(dirname(file)), "LICENSE"), join(out, "fonts", `${name}.LICENSE.txt`));
}
if (engine === packaged) {
  await build({ ...common, entryPoints: [join(dirname(engine), "worker.js")], outfile: join(out, "worker.js") });
  for (const wasm of ["zk-replica.wasm", "zk-replica-light.wasm"]) cpSync(join(dirname(engine), wasm), join(out, wasm));
}

// The service worker keeps all of it, under a version that is the hash of all of it.
const files = readdirSync(out, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !entry.name.endsWith(".txt"))
  .map((entry) => relative(out, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
  .sort();
const hash = createHash("sha256");
for (const name of files)
  hash
    .update(name)
    .update("\0")
    .update(readFileSync(join(out, name)));
await build({
  ...common,
  entryPoints: ["src/sw.ts"],
  outfile: join(out, "sw.js"),
  define: {
    SHELL: JSON.stringify(["./", ...files]),
    VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)),
  },
});
