// Builds the package from what cargo and wasm-bindgen made of each mode, in build/full and build/light: `node build.mjs`.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** The modules, and the bytes that each may have as it is sent. */
const modules = [
  { kind: 'full', wasm: here('dist/zk-replica.wasm'), most: 350_000 },
  { kind: 'light', wasm: here('dist/zk-replica-light.wasm'), most: 375_000 },
];

rmSync(here('dist'), { recursive: true, force: true });
mkdirSync(here('dist'));
for (const { kind, wasm } of modules) {
  // Binaryen makes the file smaller, but what is sent hardly (-O1) or not at all (-Oz): it is left as the compiler made it.
  copyFileSync(here(`build/${kind}/engine_bg.wasm`), wasm);
  copyFileSync(here(`build/${kind}/engine.d.ts`), here(`src/${kind}.d.ts`));
}
execFileSync(process.execPath, [here('node_modules/typescript/bin/tsc'), '-p', here('.')], { stdio: 'inherit' });
for (const { kind } of modules) {
  for (const end of ['js', 'd.ts']) copyFileSync(here(`build/${kind}/engine.${end}`), here(`dist/${kind}.${end}`));
}

// Syntax is left as it is: what Node alone has is named so that other bundlers do not look for it.
const small = { minifyWhitespace: true, minifyIdentifiers: true };
const bundle = { bundle: true, format: 'esm', target: 'es2022', write: false, logLevel: 'error', ...small };
// The single file: its parts are texts in it.
const worker = await build({ ...bundle, entryPoints: [here('dist/worker.js')] });
// One file is there sooner than one whose imports have to be found out: for a page, and again for its worker.
const index = await build({ ...bundle, minifyWhitespace: false, minifyIdentifiers: false, entryPoints: [here('dist/index.js')] });
writeFileSync(here('dist/index.js'), index.outputFiles[0].contents);
writeFileSync(here('dist/worker.js'), worker.outputFiles[0].contents);
const packed = modules.map(({ kind, wasm }) => `export const ${kind} = ${JSON.stringify(gzipSync(readFileSync(wasm), { level: 9 }).toString('base64'))};\n`);
writeFileSync(here('dist/embedded.js'), `${packed.join('')}export const worker = ${JSON.stringify(worker.outputFiles[0].text)};\n`);
const inline = await build({ ...bundle, entryPoints: [here('dist/inline.js')] });
writeFileSync(here('dist/inline.js'), inline.outputFiles[0].contents);
// What they were made of.
for (const name of readdirSync(here('dist'))) {
  if (name.endsWith('.js') && !['index.js', 'inline.js', 'viem.js', 'worker.js'].includes(name)) rmSync(here(`dist/${name}`));
}

for (const { wasm, most } of modules) {
  const bytes = readFileSync(wasm);
  const sent = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length;
  console.log(`${basename(wasm)}: ${bytes.length} bytes, ${sent} in brotli; at most ${most} are allowed`);
  if (sent > most) process.exitCode = 1;
}
