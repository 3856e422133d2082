import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { COSINE_BOUND, TINY } from "../harness/golden.ts";
import { cases } from "../tensor/conformance.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";

let chromium: Setup;
let page: Page | undefined;
beforeAll(async () => {
  chromium = await setUp(["page.ts", "golden.ts"], { golden: new URL("../golden/", import.meta.url) });
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

/** The page that all cases share, with the judge in it. */
async function openPage(): Promise<Page> {
  const page = await chromium.openPage();
  await page.addScriptTag({ url: "/golden.js", type: "module" });
  await page.waitForFunction(() => "siglipGolden" in globalThis);
  return page;
}

describe("golden files in a page", () => {
  for (const backend of ["cpu", "webgpu"] as const) {
    // What rounding weights does was seen in Node; here it is the device's reading of them that is new.
    for (const dtype of backend === "cpu" ? (["f32"] as const) : (["f32", "f16", "q8", "q4"] as const)) {
      for (const name of TINY) {
        const body: Parameters<typeof inChromium>[2] = async ({ task }) => {
          if (backend === "webgpu") task.meta.siglip!.adapter = chromium.label;
          page ??= await openPage();
          const errors = await page.evaluate(([name, backend, dtype]) => siglipGolden.judge(name, backend, dtype), [
            name,
            backend,
            dtype,
          ] as const);
          if (dtype !== "f32") {
            const loss = Math.max(errors.image, errors.text);
            expect(loss, JSON.stringify(errors)).toBeLessThanOrEqual(COSINE_BOUND[dtype]);
          } else expect(Object.keys(errors)).toContain("logits");
        };
        inChromium(`${name} on ${backend}, ${dtype} weights`, backend, body, dtype);
      }
    }
  }
});

inChromium("every operation in a page is within float32 of float64", "webgpu", async ({ task }) => {
  task.meta.siglip!.adapter = chromium.label;
  page ??= await openPage();
  expect(await page.evaluate(() => siglipGolden.conform())).toBe(cases.length);
});
