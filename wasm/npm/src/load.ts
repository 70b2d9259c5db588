import { inWords } from './errors.js';
import type { ModulePlace } from './messages.js';

/** A wasm module: its bytes, or fetched from where the options say, or from `beside`, which a worker made of a text has not. */
export async function load(options: ModulePlace, beside: () => string): Promise<WebAssembly.Module> {
  if (options.wasmBytes) return WebAssembly.compile(options.wasmBytes);
  const url = options.wasmUrl ?? beside();
  if (url.startsWith('file:')) return WebAssembly.compile(await readFile(url));
  const response = await get(url);
  const copy = response.clone();
  try {
    return await WebAssembly.compileStreaming(response);
  } catch (error) {
    // A server that does not say what it is.
    if (error instanceof TypeError) return WebAssembly.compile(await copy.arrayBuffer());
    throw error;
  }
}

/** The text at an address; in Node of a file, too. */
export async function loadText(url: string): Promise<string> {
  if (url.startsWith('file:')) return new TextDecoder().decode(await readFile(url));
  return (await get(url)).text();
}

async function get(url: string): Promise<Response> {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`cannot fetch ${url}: ${inWords(error)}`);
  }
  if (!response.ok) throw new Error(`cannot fetch ${url}: status ${response.status}`);
  return response;
}

export async function readFile(url: string): Promise<Uint8Array<ArrayBuffer>> {
  // Not a text that bundlers follow: there is no such module in a browser.
  const name = 'node:fs/promises';
  const fs = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
  return new Uint8Array(await fs.readFile(new URL(url)));
}
