import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { build } from "esbuild";
import type { Browser, Worker } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openChromium } from "../harness/shared.ts";
import { noChromium } from "./chromium.ts";
import { inChromium } from "./setup.ts";
import { answerRange, type Site, serve } from "./site.ts";
import { demo, expectDemo, expectKept, workerScripts } from "./static.ts";

let scripts: Map<string, string>;
let site: Site;
let browser: Browser | undefined;
beforeAll(async () => {
  scripts = await workerScripts();
  site = await serve(async (request, response, path) => {
    const types: Record<string, string> = { "": "text/html", ".js": "text/javascript" };
    response.setHeader("Content-Type", types[extname(path)] ?? "application/octet-stream");
    if (path === "/") response.end("<!doctype html><title>siglip</title>");
    else if (scripts.has(path.slice(1))) response.end(scripts.get(path.slice(1)));
    else answerRange(request, response, await readFile(new URL(path.replace("/demo/", "./"), demo)));
  });
  browser = noChromium ? undefined : await openChromium();
});
afterAll(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

describe("siglip/static", () => {
  it("imports nothing, at once or later", async () => {
    const stdin = { contents: scripts.get("static.js")! };
    const { metafile } = await build({
      stdin,
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      external: ["*"],
    });
    expect(Object.values(metafile.outputs)[0].imports).toEqual([]);
  });

  describe("in a service worker", () => {
    let worker: Worker;
    /** The worker of a page with storage of its own. */
    async function register(): Promise<Worker> {
      if (worker) return worker;
      const context = await browser!.newContext();
      const page = await context.newPage();
      await page.goto(site.url);
      await page.evaluate(async () => {
        await navigator.serviceWorker.register("/worker.js", { type: "module" });
        await navigator.serviceWorker.ready;
      });
      worker = context.serviceWorkers()[0];
      return worker;
    }

    inChromium("gives the demo's golden logits from a URL", "wasm", async () => expectDemo(await register(), "./demo"));
    inChromium("keeps a model for the next load", "wasm", async () => expectKept(await register()), "q4");
    inChromium("says that it has no demo model", "chromium", async () => {
      const found = (await register()).evaluate(() => siglip.Siglip.load("demo").catch((error) => String(error)));
      expect(await found).toBe(
        "SiglipError: the demo model: wanted siglip, found siglip/static, which leaves it out; name a model of the Hub, a URL or files.",
      );
    });
  });
});
