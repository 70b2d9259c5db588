// The core as a module of wasm32v1-none: it imports nothing, and replays the recorded chain all the same.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';

const bytes = readFileSync(process.env.PORTABLE_WASM);
const recording = new URL('../../../shared/vectors/recorded-chain/', import.meta.url);
const missing = existsSync(recording) ? false : `${recording.pathname} is not there`;

/** Calls the module's `replay` on three files and returns what it says. */
function replay(...files) {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
  const places = files.flatMap((file) => {
    const address = exports.allocate(file.length);
    new Uint8Array(exports.memory.buffer, address, file.length).set(file);
    return [address, file.length];
  });
  const text = exports.replay(...places);
  const length = new DataView(exports.memory.buffer).getUint32(text, true);
  const said = new TextDecoder().decode(new Uint8Array(exports.memory.buffer, text + 4, length));
  return { said, memory: exports.memory.buffer.byteLength };
}

test('the module imports nothing', () => {
  assert.deepEqual(WebAssembly.Module.imports(new WebAssembly.Module(bytes)), []);
});

test('an error is a text', () => {
  const text = (string) => new TextEncoder().encode(string);
  assert.match(replay(text(''), text('{'), text('{}')).said, /^not genesis allocations: EOF/);
});

test('the recorded chain is true in wasm as well', { skip: process.env.CI ? false : missing }, () => {
  const read = (name) => readFileSync(new URL(name, recording));
  const stream = gunzipSync(read('data-stream.bin.gz'));
  const { said, memory } = replay(stream, read('genesis-allocs.json'), read('chainspec.json'));
  assert.equal(
    said,
    'tip 11317 state root 0xb94132b126ad8ad6b126f64e3c78944f0a6b46a46f0fed4da437cd47108ee7ee' +
      ' hash 0xefb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5',
  );
  assert.ok(memory < 256 << 20, `${memory} bytes of memory`);
});
