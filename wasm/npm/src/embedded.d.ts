/** The wasm files, in gzip and base64; the build puts them there. */
export const full: string;
export const light: string;
/** The worker's script. */
export const worker: string;
