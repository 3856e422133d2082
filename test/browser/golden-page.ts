import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { WeightDType } from "../../src/tensor/program.ts";
import { COSINE_BOUND } from "../harness/golden.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";

let chromium: Setup | undefined;
let page: Page | undefined;

/** The page that all cases of a file share, with the judge in it. */
export async function judgePage(): Promise<{ page: Page; label: string }> {
  chromium ??= await setUp(["page.ts", "golden.ts"], { golden: new URL("../golden/", import.meta.url) });
  if (!page) {
    page = await chromium.openPage();
    await page.addScriptTag({ url: "/golden.js", type: "module" });
    await page.waitForFunction(() => "siglipGolden" in globalThis);
  }
  return { page, label: chromium.label };
}

/** To be called at the end of the file. */
export async function closeJudge(): Promise<void> {
  await chromium?.[Symbol.asyncDispose]();
  chromium = page = undefined;
}

/** A golden case in a page: as in Node in f32, by the loss of cosine in other precisions. */
export function goldenInPage(name: string, backend: "cpu" | "wasm" | "webgpu", dtype: WeightDType): void {
  const body: Parameters<typeof inChromium>[2] = async ({ task }) => {
    const { page, label } = await judgePage();
    if (backend === "webgpu") task.meta.siglip!.adapter = label;
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

/** The operations' cases in a page, attention with at most so many features a head. */
export function operationsInPage(name: string, head: number): void {
  inChromium(name, "webgpu", async ({ task }) => {
    const { page, label } = await judgePage();
    task.meta.siglip!.adapter = label;
    expect(await page.evaluate((head) => siglipGolden.conform(head), head)).toBeGreaterThan(10);
  });
}
