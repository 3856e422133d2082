// Keeps the page's own files and answers with them, so that the page opens without its server. Files with a hash in
// their names never change; a version of the page is a list of files, in a cache of its own.

/**
 * Put in by the build: the page's files, those of them that are kept only when they are first asked for, and a hash of
 * all.
 */
declare const FILES: readonly string[];
declare const LAZY: readonly string[];
declare const VERSION: string;

/** What this script uses of a service worker's globals, which the DOM's types lack. */
interface Scope {
  readonly registration: { readonly scope: string };
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: string, listener: (event: Event & Event_) => void): void;
}
interface Event_ {
  readonly request: Request;
  readonly data: unknown;
  waitUntil(promise: Promise<unknown>): void;
  respondWith(response: Promise<Response>): void;
}

const scope = self as unknown as Scope;
const base = scope.registration.scope;
/** Caches belong to the whole origin, on which other copies of this page may live. */
const prefix = `siglip page ${base} `;
const current = prefix + VERSION;
const urls = (files: readonly string[]) => files.map((file) => new URL(file, base).href);
const lazy = new Set(urls(LAZY));
const own = new Set([...urls(FILES), ...lazy]);

scope.addEventListener("install", (event) => event.waitUntil(fill()));
scope.addEventListener("activate", (event) => event.waitUntil(clean()));
scope.addEventListener("message", ({ data }) => data === "take over" && scope.skipWaiting());
scope.addEventListener("fetch", (event) => {
  const url = addressOf(event.request);
  if (url) event.respondWith(find(url));
});

/** The address under which what is asked for is kept; undefined for what is not the page's own. */
function addressOf({ method, mode, url }: Request): string | undefined {
  if (method !== "GET") return undefined;
  if (mode !== "navigate") return own.has(url) ? url : undefined;
  // The page goes by its folder's address, whatever stands behind a question mark.
  const { pathname } = new URL(url);
  return ["./", "index.html"].some((page) => new URL(page, base).pathname === pathname) ? base : undefined;
}

async function fill(): Promise<void> {
  const cache = await caches.open(current);
  const hashed = (url: string) => /-[A-Z0-9]{8}\.\w+$/.test(url);
  await Promise.all(
    urls(FILES).map(async (url) => {
      const kept = hashed(url) ? await caches.match(url) : undefined;
      await (kept
        ? cache.put(url, kept)
        : cache.add(new Request(url, { cache: hashed(url) ? "default" : "no-cache" })));
    }),
  );
}

async function clean(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(prefix) && name !== current) await caches.delete(name);
  }
  await scope.clients.claim();
}

async function find(url: string): Promise<Response> {
  const cache = await caches.open(current);
  const kept = await cache.match(url);
  if (kept) return kept;
  const response = await fetch(url);
  if (response.ok) await cache.put(url, response.clone());
  return response;
}
