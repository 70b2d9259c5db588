/** The wasm file, in base64; the build puts it there. */
export const wasm: string;
/** The worker's script. */
export const worker: string;
