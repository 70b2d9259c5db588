// A static server with the package, and what a page of it needs: as any host of static files.

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html", ".json": "application/json" };
/** Nothing but files of the origin, and wasm; main nodes are elsewhere. */
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src *; img-src 'self' data:";
const PAGE = `<!doctype html><meta charset="utf-8"><title>zk-replica</title><link rel="icon" href="data:,">`;

/** Serves the package below /dist/, files by name below /files/, and an empty page at /. */
export async function site(files = {}) {
  const dist = fileURLToPath(new URL("../../wasm/npm/dist/", import.meta.url));
  const asked = [];
  /** Paths that are not there (any more), and those that are never answered. */
  const [gone, silent] = [new Set(), new Set()];
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    asked.push({ path, range: request.headers.range });
    if (silent.has(path)) return undefined;
    const send = (status, type, body, headers = {}) => {
      response.writeHead(status, { "content-type": type, "content-security-policy": POLICY, ...headers });
      response.end(body);
    };
    if (gone.has(path)) return send(404, "text/plain", "");
    if (path === "/") return send(200, "text/html", PAGE);
    if (path.startsWith("/files/")) {
      const bytes = files[path.slice(7)];
      if (bytes === undefined) return send(404, "text/plain", "");
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      if (!range) return send(200, TYPES[extname(path)] ?? "application/octet-stream", bytes);
      const [first, last] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
      if (first >= bytes.length) return send(416, "text/plain", "");
      return send(206, "application/octet-stream", bytes.subarray(first, last + 1), {
        "content-range": `bytes ${first}-${last}/${bytes.length}`,
      });
    }
    const file = join(dist, normalize(path.replace(/^\/dist\//, "/")));
    if (!path.startsWith("/dist/") || !file.startsWith(dist) || !existsSync(file) || !statSync(file).isFile()) {
      return send(404, "text/plain", "");
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "text/plain", "content-security-policy": POLICY, "cache-control": "no-store" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    asked,
    gone,
    silent,
    close: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())),
  };
}
