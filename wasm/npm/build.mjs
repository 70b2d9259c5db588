// Builds the package from what cargo built: `node build.mjs MODULE BINDGEN`, the wasm file and the generator of its script.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'esbuild';

const [module, bindgen] = process.argv.slice(2);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = (program, ...args) => execFileSync(program, args, { stdio: 'inherit', cwd: here('.') });
/** Bytes of the wasm file as it is sent: what there is must not grow. The aim is 350 kB. */
const MOST = 443_500;

rmSync(here('dist'), { recursive: true, force: true });
mkdirSync(here('dist'));
run(bindgen, module, here('build'));
const wasm = here('dist/zk-replica.wasm');
// Binaryen makes the file smaller, but what is sent hardly (-O1) or not at all (-Oz): it is left as the compiler made it.
copyFileSync(here('build/engine_bg.wasm'), wasm);
copyFileSync(here('build/engine.d.ts'), here('src/engine.d.ts'));
run(process.execPath, here('node_modules/typescript/bin/tsc'), '-p', here('.'));
for (const name of ['engine.js', 'engine.d.ts']) copyFileSync(here(`build/${name}`), here(`dist/${name}`));

// Syntax is left as it is: what Node alone has is named so that other bundlers do not look for it.
const small = { minifyWhitespace: true, minifyIdentifiers: true };
const bundle = { bundle: true, format: 'esm', target: 'es2022', write: false, logLevel: 'error', ...small };
// The single file: its parts are texts in it.
const worker = await build({ ...bundle, entryPoints: [here('dist/worker.js')] });
// One file is there sooner than one whose imports have to be found out: for a page, and again for its worker.
const index = await build({ ...bundle, minifyWhitespace: false, minifyIdentifiers: false, entryPoints: [here('dist/index.js')] });
writeFileSync(here('dist/index.js'), index.outputFiles[0].contents);
writeFileSync(here('dist/worker.js'), worker.outputFiles[0].contents);
writeFileSync(
  here('dist/embedded.js'),
  `export const wasm = ${JSON.stringify(readFileSync(wasm).toString('base64'))};\n` +
    `export const worker = ${JSON.stringify(worker.outputFiles[0].text)};\n`,
);
const inline = await build({ ...bundle, entryPoints: [here('dist/inline.js')] });
writeFileSync(here('dist/inline.js'), inline.outputFiles[0].contents);
// What they were made of.
for (const name of readdirSync(here('dist'))) {
  if (name.endsWith('.js') && !['index.js', 'inline.js', 'viem.js', 'worker.js'].includes(name)) rmSync(here(`dist/${name}`));
}

const bytes = readFileSync(wasm);
const sent = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length;
console.log(`zk-replica.wasm: ${bytes.length} bytes, ${sent} in brotli; at most ${MOST} are allowed`);
if (sent > MOST) process.exitCode = 1;
