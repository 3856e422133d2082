// `siglip/static` in a service worker, a site's or an extension's: its script, and what tests ask of it there.
import { readFileSync } from "node:fs";
import type { Page, Worker } from "playwright-core";
import { expect } from "vitest";
import { bundleStatic } from "../../src/node/bundle-static.ts";
import { expectSame, serve, visit, words } from "./visit.ts";

export const demo = new URL("../../weights/demo/", import.meta.url);
const [example] = JSON.parse(readFileSync(new URL("examples/examples.json", demo), "utf8")).examples;
/** The picture of the demo model's golden logits, and the texts. */
export const { file, labels } = example;

/** What a folder of the worker's holds: the script that `npm run build` makes, and the worker's own, which shows it to tests. */
export async function workerScripts(): Promise<Map<string, string>> {
  return new Map([
    ["static.js", await bundleStatic()],
    [
      "worker.js",
      `import * as library from "./static.js";
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
const fetchBytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
globalThis.siglip = { ...library, fetchBytes };
`,
    ],
  ]);
}

/** The demo model, as files at a URL, gives its golden logits on wasm, which has one thread there. */
export async function expectDemo(worker: Worker, model: string): Promise<void> {
  const found = await worker.evaluate(
    async ([url, picture, texts]) => {
      const model = await siglip.Siglip.load(url, { dtype: "f32" });
      const { logits } = model.similarity(await model.embedImages([picture]), await model.embedTexts(texts));
      model.dispose();
      return { logits: [...logits], device: model.device };
    },
    [model, `${model}/examples/${file}`, labels] as const,
  );
  expect(found.device).toMatchObject({ backend: "wasm", adapter: expect.stringMatching(/^1 thread,/) });
  expectLogits(found.logits);
}

/** The golden logits of that picture and these texts, within the bound of the tests in pages. */
export function expectLogits(found: readonly number[]): void {
  expect(found.length).toBe(labels.length);
  for (const [i, logit] of example.logits.entries()) expect(Math.abs(found[i] - logit)).toBeLessThan(0.01);
}

/** A model of a server is kept, and loaded again when there is no server any more. */
export async function expectKept(worker: Worker): Promise<void> {
  const page = worker as unknown as Page;
  const server = await serve();
  const url = `${server.url}m/`;
  const options = { backend: "wasm", dtype: "q4", words } as const;
  const first = await visit(page, url, { ...options, complete: 1 });
  await server[Symbol.asyncDispose]();
  expectSame(await visit(page, url, options), first);
  const kept = expect.objectContaining({ model: url, dtype: "q4", complete: true });
  expect(await worker.evaluate(() => siglip.listCached())).toContainEqual(kept);
  await worker.evaluate(() => siglip.deleteCached());
}
