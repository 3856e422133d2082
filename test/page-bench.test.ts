import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import type { PageResult } from "../src/web/bench/results.ts";
import { buildPage } from "../src/web/node/build.ts";
import { pageServer } from "../src/web/node/serve.ts";
import { noChromium, openChromium } from "./browser/chromium.ts";
import { inChromium } from "./browser/setup.ts";

const artefacts = fileURLToPath(new URL("artefacts/", import.meta.url));
let server: Server;
let browser: Browser;

beforeAll(async () => {
  mkdirSync(artefacts, { recursive: true });
  server = pageServer(await buildPage());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  if (!noChromium) browser = await openChromium();
});
afterAll(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

/** The bench of a page of its own, on which nothing may be wrong in the console. */
async function openBench(
  options: BrowserContextOptions = {},
  before?: () => void,
): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({ ...options, serviceWorkers: "block" });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", ({ message }) => errors.push(message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  if (before) await page.addInitScript(before);
  const { port } = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/#bench`);
  return { page, errors };
}

describe("the page's kernel bench", () => {
  inChromium("measures what is asked for, shows it, and gives it as JSON", "webgpu", async ({ task }) => {
    task.meta.siglip!.adapter = `chromium ${browser.version()} swiftshader`;
    const { page, errors } = await openBench({ permissions: ["clipboard-read", "clipboard-write"] });
    await page.getByText("Software adapter", { exact: true }).waitFor();
    const facts = await page.locator(".facts").first().innerText();
    expect(facts).toMatch(/swiftshader/);
    expect(facts).toMatch(/Subgroups\s+of 4 threads/);
    expect(await page.getByRole("button", { name: "Copy JSON" }).isDisabled()).toBe(true);

    await page.getByRole("checkbox", { name: "linear" }).uncheck();
    await page.getByRole("checkbox", { name: "attention" }).uncheck();
    await page.getByRole("button", { name: "Measure" }).click();
    await page.getByText(/^Done, /).waitFor({ timeout: 60_000 });
    expect(await page.locator(".status:visible").innerText()).toMatch(/: 2 timed, 0 wrong, 2 skipped in /);
    const table = page.getByRole("table", { name: /verified and timed/ });
    const rows = await table.locator("tbody tr").allInnerTexts();
    expect(rows.map((row) => row.split("\t").slice(0, 2))).toEqual([
      ["layer norm", "64 × 1152"],
      ["rows pooling", "64 × 1152"],
    ]);
    expect(rows[0]).toMatch(/\d% of copy/);
    expect(await page.locator(".chart li svg .best").count()).toBe(2);
    await page.getByText("2 skipped").last().click();
    await page.getByText("the device lacks shader-f16").waitFor();
    await page.screenshot({ path: `${artefacts}bench-light.png`, fullPage: true });

    await page.getByRole("button", { name: "Copy JSON" }).click();
    await page.getByText("Results copied.").waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const downloading = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save JSON" }).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe("siglip-kernels.json");
    expect(readFileSync((await download.path())!, "utf8")).toBe(copied);
    const result: PageResult = JSON.parse(copied);
    expect(result.adapter).toMatchObject({ software: true });
    expect(result.full).toBe(false);
    expect(result.ceilings!.f32).toBeGreaterThan(0);
    const [norm, pooling] = result.rows.filter(({ median }) => median !== undefined);
    expect(norm).toMatchObject({ op: "layer_norm", shape: "64 x 1152", activations: "f32" });
    expect(norm.nmse).toBeLessThan(1e-10);
    expect(pooling.nmse).toBe(0);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  inChromium("stops at once, keeps what it has, and starts again", "webgpu", async ({ task }) => {
    task.meta.siglip!.adapter = `chromium ${browser.version()} swiftshader`;
    const { page, errors } = await openBench({ viewport: { width: 375, height: 812 }, colorScheme: "dark" });
    for (const name of ["attention", "layer norm", "rows"]) await page.getByRole("checkbox", { name: name }).uncheck();
    await page.getByRole("button", { name: "Measure" }).click();
    await page.locator(".bench tbody tr").first().waitFor({ timeout: 90_000 });
    await page.getByRole("button", { name: "Stop" }).click();
    const status = await page.locator(".status:visible").innerText();
    expect(status).toMatch(/^Stopped: [1-9]\d* timed, 0 wrong, /);
    expect(await page.getByRole("button", { name: "Copy JSON" }).isEnabled()).toBe(true);
    // Wider than the phone is the table alone, which scrolls by itself.
    const [wide, room] = await page.evaluate(() => [document.body.scrollWidth, document.body.clientWidth]);
    expect(wide).toBe(room);
    await page.screenshot({ path: `${artefacts}bench-dark-phone.png`, fullPage: true });
    await page.getByRole("checkbox", { name: "linear" }).uncheck();
    await page.getByRole("checkbox", { name: "rows" }).check();
    await page.getByRole("button", { name: "Measure" }).click();
    await page.getByText(/^Done, /).waitFor({ timeout: 60_000 });
    expect(await page.locator(".bench tbody tr").count()).toBe(1);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  inChromium("says what it lacks where there is no WebGPU", "chromium", async () => {
    const { page, errors } = await openBench({}, () => {
      delete (Navigator.prototype as { gpu?: GPU }).gpu;
    });
    await page.getByText(/^A GPU was wanted to measure, found .* no WebGPU; /).waitFor();
    expect(await page.getByRole("button", { name: "Measure" }).count()).toBe(0);
    expect(errors).toEqual([]);
    await page.context().close();
  });
});
