import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect } from "vitest";
import { IMAGES } from "../harness/pictures.ts";
import { openChromium } from "../harness/shared.ts";
import { bundle } from "./bundle.ts";
import { noChromium } from "./chromium.ts";
import { inChromium } from "./setup.ts";
import { type Site, serve } from "./site.ts";

const PICTURES = 20;

let site: Site;
let browser: Browser | undefined;
beforeAll(async () => {
  const [page, thread] = [await bundle(["page.ts"]), await bundle(["../../src/browser/thread.ts"])];
  const scripts = new Map([...page.scripts, ...thread.scripts]);
  site = await serve(async (_, response, path) => {
    const [, folder, name] = path.split("/");
    if (folder === "isolated") {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    const html = "<!doctype html><script type=module src=page.js></script>";
    if (name === "") response.setHeader("Content-Type", "text/html").end(html);
    else if (scripts.has(name)) response.setHeader("Content-Type", "text/javascript").end(scripts.get(name));
    else response.end(await readFile(join(IMAGES, name)));
  });
  if (!noChromium) browser = await openChromium();
});
afterAll(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

for (const [folder, threads] of [
  ["isolated", "2 threads"],
  ["plain", "1 thread"],
] as const) {
  inChromium(`a page has its turns while ${PICTURES} pictures are embedded on ${threads}`, "wasm", async () => {
    const page = await browser!.newPage();
    await page.goto(`${site.url}${folder}/`);
    await page.waitForFunction(() => "siglip" in globalThis);
    const found = await page.evaluate(async (count) => {
      const model = await siglip.Siglip.load("demo", { backend: "wasm", threads: 2 });
      const file = new Blob([await siglip.fetchBytes("big-1600x1200-420.jpg")]);
      await model.embedImages([file]);
      const long: number[] = [];
      const observer = new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) long.push(duration);
      });
      observer.observe({ type: "longtask" });
      const gaps: number[] = [];
      let last = performance.now();
      const timer = setInterval(() => {
        gaps.push(performance.now() - last);
        last = performance.now();
      }, 1);
      const start = last;
      await model.embedImages(Array.from({ length: count }, () => file));
      const took = performance.now() - start;
      clearInterval(timer);
      await new Promise((resolve) => setTimeout(resolve, 100));
      observer.disconnect();
      const { adapter } = model.device;
      model.dispose();
      return { adapter, took, long, turns: gaps.length, gap: Math.max(...gaps) };
    }, PICTURES);
    await page.close();
    const { adapter, took, long, turns, gap } = found;
    console.log(
      `${adapter}: ${took.toFixed(0)} ms, ${turns} turns, the longest gap ${gap.toFixed(0)} ms, ${long.length} tasks above 50 ms (${long.map((ms) => ms.toFixed(0)).join(", ")})`,
    );
    expect(adapter).toContain(threads);
    // What a turn takes is the machine's matter; several for every picture are ours.
    expect(turns).toBeGreaterThan(2 * PICTURES);
  });
}

inChromium("a model whose thread ends by itself is brought onto new threads by the next call", "wasm", async () => {
  const page = await browser!.newPage();
  await page.goto(`${site.url}isolated/`);
  await page.waitForFunction(() => "siglip" in globalThis);
  const found = await page.evaluate(async () => {
    const workers: Worker[] = [];
    const Original = globalThis.Worker;
    globalThis.Worker = class extends Original {
      constructor(...args: ConstructorParameters<typeof Worker>) {
        super(...args);
        workers.push(this);
      }
    };
    const model = await siglip.Siglip.load("demo", { backend: "wasm", threads: 2 });
    const embed = async () => [...(await model.embedTexts(["a red circle"])).data];
    const before = await embed();
    workers[1].terminate();
    // The browser tells some time later; until then the other thread may do all.
    const codes: string[] = [];
    let after: number[] | undefined;
    while (workers.length < 4 || !after) {
      after = await embed().catch((error) => void codes.push(error.code));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    model.dispose();
    return { same: after.join() === before.join(), codes };
  });
  await page.close();
  expect(found.same).toBe(true);
  expect(["", "device-lost"]).toContain(found.codes.join());
});
