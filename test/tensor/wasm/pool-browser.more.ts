import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { bundle } from "../../browser/bundle.ts";
import { noChromium } from "../../browser/chromium.ts";
import { inChromium } from "../../browser/setup.ts";
import { type Site, serve } from "../../browser/site.ts";
import { openChromium } from "../../harness/shared.ts";
import { toyModules } from "./toys.ts";
import { DEATHS, type ToyModules, type Trial } from "./trial.ts";

const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** The site's folders: the headers of what lies in each, and whether the file of a thread does. */
const FOLDERS: Readonly<
  Record<string, { readonly headers: Readonly<Record<string, string>>; readonly file: boolean }>
> = {
  isolated: { headers: ISOLATED, file: true },
  plain: { headers: {}, file: true },
  // As bundlers may have it, which know nothing of that file.
  bundled: { headers: ISOLATED, file: false },
  // A policy that forbids threads from text, besides.
  strict: {
    headers: {
      ...ISOLATED,
      "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'",
    },
    file: false,
  },
};

let site: Site;
let browser: Browser;
let toys: ToyModules;
beforeAll(async () => {
  toys = await toyModules();
  // One by one, so that they share no chunk, which would have to lie in every folder.
  const entries = ["../tensor/wasm/trial-browser.ts", "../../src/browser/thread.ts"];
  const bundles = await Promise.all(entries.map((entry) => bundle([entry])));
  const scripts = new Map(bundles.flatMap(({ scripts }) => [...scripts]));
  site = await serve((_, response, path) => {
    const [, folder, name] = path.split("/");
    for (const [header, value] of Object.entries(FOLDERS[folder].headers)) response.setHeader(header, value);
    const script = scripts.get(name);
    if (name === "") {
      response
        .setHeader("Content-Type", "text/html")
        .end("<!doctype html><script type=module src=trial-browser.js></script>");
    } else if (!script || (name === "thread.js" && !FOLDERS[folder].file)) throw new Error("missing");
    else response.setHeader("Content-Type", "text/javascript").end(script);
  });
  if (!noChromium) browser = await openChromium();
});
afterAll(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

/** Opens the page of a folder and tries pools in it, or in a worker that it starts. */
async function run(folder: string, where: "page" | "worker" | "service worker", threads: number[]): Promise<Trial[]> {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(`${site.url}${folder}/`);
  await page.waitForFunction(() => "trials" in globalThis);
  const found = await page.evaluate(
    async ([where, ...call]) => {
      if (where === "page") return globalThis.trials(...call);
      const options = { type: "module" } as const;
      let worker: Worker | ServiceWorker;
      if (where === "worker") worker = new Worker("trial-browser.js", options);
      else {
        const { serviceWorker } = navigator;
        await serviceWorker.register("trial-browser.js", options);
        worker = (await serviceWorker.ready).active!;
      }
      return new Promise<Trial[]>((resolve, reject) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => (typeof data === "string" ? reject(new Error(data)) : resolve(data));
        worker.postMessage(call, [port2]);
      });
    },
    [where, toys, threads] as const,
  );
  await page.close();
  for (const { threads, latency, abort, gap } of found) {
    console.log(
      `${folder} ${where}, ${threads} threads: empty run ${latency.toFixed(0)} µs, abort ${abort.toFixed(0)} ms, gap ${gap.toFixed(0)} ms`,
    );
  }
  return found;
}

function expectSame(found: readonly Trial[], alone: unknown): void {
  for (const trial of found) {
    expect(trial).toMatchObject({ sum: found[0].sum, again: true, codes: ["device-lost", "disposed"] });
    // Some milliseconds where the machine is idle; the list by itself takes ten seconds.
    expect(trial.abort).toBeLessThan(2000);
    expect(trial.deaths).toEqual(trial.threads === 2 ? DEATHS : []);
    if (trial.threads === 1) expect(trial.alone).toEqual(alone);
  }
}

describe("a pool in Chromium", () => {
  for (const where of ["page", "worker"] as const) {
    inChromium(`has threads in an isolated ${where}`, "chromium", async () => {
      const before = site.requests.length;
      const found = await run("isolated", where, [1, 2, 4]);
      expect(found.map(({ threads }) => threads)).toEqual([1, 2, 4]);
      expectSame(found, undefined);
      expect(site.requests.slice(before)).toContain("/isolated/thread.js");
    });
  }

  inChromium("has threads where the file of one is missing", "chromium", async () => {
    expectSame(await run("bundled", "page", [2]), undefined);
  });

  for (const [folder, where, alone] of [
    ["plain", "page", expect.stringContaining("not cross-origin isolated")],
    ["plain", "worker", expect.stringContaining("not cross-origin isolated")],
    ["plain", "service worker", "there are no workers here"],
    ["strict", "page", expect.stringContaining("worker")],
  ] as const) {
    inChromium(`runs alone in a ${where} of ${folder} headers`, "chromium", async () => {
      const found = await run(folder, where, [2]);
      expect(found.map(({ threads }) => threads)).toEqual([1]);
      expectSame(found, alone);
    });
  }
});
