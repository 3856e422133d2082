import { afterAll, beforeAll, expect } from "vitest";
import { inChromium, type Setup, setUp } from "./setup.ts";

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts", "search.ts"], {});
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

inChromium("a page searches 2,000 embeddings in loops, 16,500 by WebAssembly", "chromium", async () => {
  const page = await chromium.openPage();
  await page.addScriptTag({ url: "/search.js", type: "module" });
  await page.waitForFunction(() => "inSearch" in globalThis);
  for (const count of [2000, 16_500]) {
    const { median, found } = await page.evaluate((count) => inSearch.timeSearch(count, 1152), count);
    console.log(`page: ${count} embeddings of width 1152 searched in ${median.toFixed(1)} ms, the median of ten`);
    expect(found).toBe(true);
  }
});
