// Runs a test binary built for wasm32-wasip1: `node wasi.mjs BINARY [ARGUMENTS]`. It sees no files and no network.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const args = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args, env: { RUST_TEST_THREADS: '1' }, returnOnExit: true });
const module = new WebAssembly.Module(readFileSync(args[0]));
process.exitCode = wasi.start(new WebAssembly.Instance(module, wasi.getImportObject()));
