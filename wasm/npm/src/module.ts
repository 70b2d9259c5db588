import * as full from './full.js';
import * as light from './light.js';
import { load } from './load.js';
import type { ModulePlace } from './messages.js';

/** What drives a module: there is one instance of each in a thread. */
export type Engine = full.Engine | light.Engine;

/** Full mode's module, and that of light mode, which checks evidence, too. One for all would be a quarter larger. */
export const modules = {
  full: { script: full, name: 'zk-replica.wasm', url: () => new URL('./zk-replica.wasm', import.meta.url).href, entry: 'engine_new' },
  light: {
    script: light,
    name: 'zk-replica-light.wasm',
    url: () => new URL('./zk-replica-light.wasm', import.meta.url).href,
    entry: 'engine_light',
  },
} as const;

export type Kind = keyof typeof modules;

/** The module that a replica with these options needs. */
export function kindOf({ checkpoint, snapshot }: { checkpoint?: unknown; snapshot?: unknown }): Kind {
  return checkpoint !== undefined && snapshot === undefined ? 'light' : 'full';
}

/** The module, with an instance in this thread. It is fetched from beside this script if it is not given. */
export async function openModule(kind: Kind, place: ModulePlace): Promise<WebAssembly.Module> {
  const { script, name, url, entry } = modules[kind];
  const module = await load(place, url);
  const is = WebAssembly.Module.exports(module).some((one) => one.name === entry);
  if (!is) throw new Error(`wasmUrl, wasmBytes: not the file that is needed here, ${name}`);
  await script.default({ module_or_path: module });
  return module;
}
