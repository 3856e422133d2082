// What somebody has put into the page's caches, and what answers for its server: other pages, broken chunks, older
// copies. The service worker keeps nothing but the page's own files, and once it has them they are what it answers
// with.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { buildSync } from "esbuild";
import { mutateBytes, Random } from "./random.ts";
import type { Target } from "./targets.ts";

const BASE = "https://page.example/siglip/";
const utf8 = (text: string) => new TextEncoder().encode(text);
const FILES: Readonly<Record<string, Uint8Array>> = {
  "./": utf8("<!doctype html><script src=main-ABCDEFGH.js></script>"),
  "main-ABCDEFGH.js": utf8("import('./chunk-12345678.js')"),
  "chunk-12345678.js": utf8("export const view = 1;"),
  "samples/a.png": new Random("sample").bytes(300),
};
const NAMES = Object.keys(FILES);
const LAZY = "samples/a.png";
const FOREIGN = utf8("<!doctype html><h1>Sign in</h1>");
const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const digests = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, digest(FILES[name])]));

let script: string | undefined;
/** The service worker as the page's build makes it. */
function build(): string {
  const constants = { FILES: digests(NAMES.filter((name) => name !== LAZY)), LAZY: digests([LAZY]), VERSION: "1" };
  const define = Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, JSON.stringify(value)]));
  const entry = fileURLToPath(new URL("../../src/web/service-worker.ts", import.meta.url));
  const { outputFiles } = buildSync({ entryPoints: [entry], bundle: true, format: "iife", write: false, define });
  return outputFiles[0].text;
}

/** As much of a browser's caches as is used of them. */
class Caches {
  readonly all = new Map<string, Map<string, Response>>();
  async open(name: string) {
    if (!this.all.has(name)) this.all.set(name, new Map());
    const entries = this.all.get(name)!;
    return {
      match: async (url: string) => entries.get(url)?.clone(),
      put: async (url: string, response: Response) => void entries.set(url, response),
    };
  }
  async match(url: string) {
    for (const entries of this.all.values()) if (entries.has(url)) return entries.get(url)!.clone();
    return undefined;
  }
  async delete(name: string) {
    return this.all.delete(name);
  }
  async keys() {
    return [...this.all.keys()];
  }
}

interface Happening {
  readonly request?: { readonly method: string; readonly mode: string; readonly url: string };
  waitUntil?(promise: Promise<unknown>): void;
  respondWith?(response: Promise<Response>): void;
}

/** A service worker that was just fetched, beside these caches and this server. */
function start(caches: Caches, fetch: (url: string) => Promise<Response>) {
  const listeners = new Map<string, (event: Happening) => void>();
  const self = {
    registration: { scope: BASE },
    skipWaiting: async () => {},
    clients: { claim: async () => {} },
    addEventListener: (type: string, listener: (event: Happening) => void) => listeners.set(type, listener),
  };
  script ??= build();
  runInNewContext(script, { self, caches, fetch, crypto, URL, Response, Headers, Uint8Array, Error });
  return {
    async tell(type: string): Promise<void> {
      let done: Promise<unknown> | undefined;
      listeners.get(type)!({ waitUntil: (promise) => (done = promise) });
      await done;
    },
    async ask(name: string): Promise<Uint8Array> {
      let answer: Promise<Response> | undefined;
      const request = { method: "GET", mode: name === "./" ? "navigate" : "cors", url: new URL(name, BASE).href };
      listeners.get("fetch")!({ request, respondWith: (response) => (answer = response) });
      return new Uint8Array(await (await answer!).arrayBuffer());
    },
  };
}

/** A Response of the file, by chance another's. */
function answerOf(mood: Random, name: string, honest: number): Response {
  const right = FILES[name];
  if (mood.chance(honest)) return new Response(Buffer.from(right));
  const kinds = [FOREIGN, new Uint8Array(0), mutateBytes(mood, right, Object.values(FILES)), FILES[mood.pick(NAMES)]];
  return new Response(Buffer.from(mood.pick(kinds)), { status: mood.pick([200, 200, 404, 503]) });
}

export const pageCache: Target = {
  name: "page-cache",
  cases: 300,
  harmless: true,
  bound: () => 2 ** 24,
  make: (random) => [random.bytes(8)],
  async read([seed]) {
    const mood = new Random(digest(seed));
    const caches = new Caches();
    for (let i = mood.below(8); i > 0; i--) {
      const cache = await caches.open(mood.pick([`siglip page ${BASE} 0`, `siglip page ${BASE} 1`, "another"]));
      const name = mood.pick(NAMES);
      await cache.put(new URL(name, BASE).href, answerOf(mood, name, 0.3));
    }
    let honest = mood.pick([0.2, 0.8, 0.95]);
    const fetch = async (url: string) => {
      const name = url.slice(BASE.length) || "./";
      if (mood.chance((1 - honest) / 4)) throw new TypeError("Failed to fetch");
      return answerOf(mood, name, honest);
    };
    const kept = () => caches.all.get(`siglip page ${BASE} 1`) ?? new Map<string, Response>();
    const check = async () => {
      for (const [url, response] of kept()) {
        const bytes = new Uint8Array(await response.clone().arrayBuffer());
        assert(Buffer.compare(bytes, FILES[url.slice(BASE.length) || "./"]) === 0, `${url} is kept as another`);
      }
    };
    let worker = start(caches, fetch);
    let installed = await settled(worker.tell("install"));
    if (installed) await check();
    return async () => {
      // The next visit, the server as it should be.
      honest = 1;
      if (!installed) worker = start(caches, fetch);
      installed ||= await settled(worker.tell("install"));
      assert(installed, "what is planted keeps the page from being kept");
      await worker.tell("activate");
      for (const name of NAMES) assert(Buffer.compare(await worker.ask(name), FILES[name]) === 0, `${name} is another`);
      honest = 0;
      for (const name of NAMES)
        assert(Buffer.compare(await worker.ask(name), FILES[name]) === 0, `${name} is not kept`);
      assert([...caches.all.keys()].every((name) => name === "another" || name.endsWith(" 1")));
      await check();
    };
  },
};

function settled(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => true,
    () => false,
  );
}
