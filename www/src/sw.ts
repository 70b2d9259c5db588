// Keeps the page itself, whole and of one version, so that it opens without a network.
// Chains, genesis files and what a main node says do not come through here.

declare const SHELL: string[];
declare const VERSION: string;

const worker = self as unknown as ServiceWorkerGlobalScope;
const STORE = `zk-replica-page-${VERSION}`;

interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface ServiceWorkerGlobalScope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(name: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(name: "fetch", listener: (event: FetchEvent) => void): void;
}

const shell = new Map(SHELL.map((path) => [new URL(path, worker.registration.scope).href, path]));

worker.addEventListener("install", (event) => {
  const fill = async () => {
    const store = await caches.open(STORE);
    await store.addAll([...shell.keys()].map((address) => new Request(address, { cache: "reload" })));
    await worker.skipWaiting();
  };
  event.waitUntil(fill());
});

worker.addEventListener("activate", (event) => {
  const tidy = async () => {
    const names = await caches.keys();
    await Promise.all(
      names.filter((name) => name.startsWith("zk-replica-page-") && name !== STORE).map((name) => caches.delete(name)),
    );
    await worker.clients.claim();
  };
  event.waitUntil(tidy());
});

worker.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  address.search = "";
  address.hash = "";
  if (event.request.method !== "GET" || !shell.has(address.href)) return;
  const answer = async () => {
    const kept = await (await caches.open(STORE)).match(address.href);
    return kept ?? fetch(event.request);
  };
  event.respondWith(answer());
});
