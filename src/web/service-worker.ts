// Keeps the page's own files and answers with them, so that the page opens without its server, and isolated from other sites, so
// that it may share memory with threads. Files with a hash in their names never change; a version of the page is a list of files, in a
// cache of its own.

import { ISOLATION } from "./isolation.ts";

/**
 * Put in by the build: the page's files, those of them that are kept only when they are first asked for, and a hash of
 * all.
 */
declare const FILES: Digests;
declare const LAZY: Digests;
declare const VERSION: string;

/** SHA-256 in hexadecimal digits, by file. */
type Digests = Readonly<Record<string, string>>;

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
/** What each of the page's files has to hash to, by its address: whatever else answers for it is not kept. */
const first = digestsOf(FILES);
const own = new Map([...first, ...digestsOf(LAZY)]);

scope.addEventListener("install", (event) => event.waitUntil(fill()));
scope.addEventListener("activate", (event) => event.waitUntil(clean()));
scope.addEventListener("message", ({ data }) => data === "take over" && scope.skipWaiting());
scope.addEventListener("fetch", (event) => {
  const url = addressOf(event.request);
  if (url) event.respondWith(find(url).then(isolate));
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
  // Nothing that was kept before is believed without a look at it.
  const kept = new Map<string, Response>();
  for (const url of first.keys()) {
    const copy = isHashed(url) ? await caches.match(url) : undefined;
    const checked = copy && (await verified(url, copy));
    if (checked) kept.set(url, checked);
  }
  await caches.delete(current);
  const cache = await caches.open(current);
  await Promise.all([...first.keys()].map(async (url) => cache.put(url, kept.get(url) ?? (await fetchVerified(url)))));
}

/** A file as its server has it; past the browser's own cache where what that has is another. */
async function fetchVerified(url: string): Promise<Response> {
  for (const cache of [isHashed(url) ? "default" : "no-cache", "reload"] as const) {
    const response = await fetch(url, { cache });
    const checked = response.ok && (await verified(url, response));
    if (checked) return checked;
  }
  throw new Error(`${url}: wanted the file that belongs to this version of the page, found another.`);
}

/** A copy of an answer, unless its bytes are not those of the page's file. */
async function verified(url: string, response: Response): Promise<Response | undefined> {
  const bytes = await response.clone().arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex === own.get(url) ? new Response(bytes, { headers: response.headers }) : undefined;
}

/** Whether a file's name changes with its contents. */
function isHashed(url: string): boolean {
  return /-[A-Z0-9]{8}\.\w+$/.test(url);
}

function digestsOf(files: Digests): Map<string, string> {
  return new Map(Object.entries(files).map(([file, digest]) => [new URL(file, base).href, digest]));
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
  const checked = response.ok ? await verified(url, response) : undefined;
  if (checked) await cache.put(url, checked);
  return response;
}

function isolate(response: Response): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
