import { text } from "node:stream/consumers";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import type { PageResult } from "../../src/web/bench/results.ts";
import { inChromium } from "../browser/setup.ts";
import { keepScreenshots, openWebsite, phoneWidths, type Visit, type Website } from "../browser/website.ts";

declare global {
  /** In a worker: the devices that it made. */
  var devices: GPUDevice[];
}

let website: Website;
beforeAll(async () => {
  website = await openWebsite();
});
afterAll(async () => website?.[Symbol.asyncDispose]());

/** What cases that ran here name as their adapter. */
function label(page: Page): string {
  return `chromium ${page.context().browser()!.version()} swiftshader`;
}

/** A visit that goes to the bench. */
async function openBench(before?: (page: Page) => Promise<unknown>): Promise<Visit> {
  const visit = await website.visit(undefined, before);
  await visit.page.click('nav a[href="#bench"]');
  return visit;
}

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

/** Leaves these operations alone to be measured, and starts. */
async function measure(page: Page, ...operations: string[]): Promise<void> {
  for (const name of ["linear", "attention", "layer norm"]) {
    await page.getByRole("checkbox", { name, exact: true }).setChecked(operations.includes(name));
  }
  await button(page, "Measure").click();
}

/** Has every worker of a page keep the devices that it makes as `devices`. */
async function keepDevices(page: Page): Promise<void> {
  const keep = () => {
    const { requestDevice } = GPUAdapter.prototype;
    globalThis.devices = [];
    GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor?: GPUDeviceDescriptor) {
      const device = await requestDevice.call(this, descriptor);
      devices.push(device);
      return device;
    };
  };
  // A service worker would answer for the site.
  await page.addInitScript(() => {
    delete (Navigator.prototype as { serviceWorker?: ServiceWorkerContainer }).serviceWorker;
  });
  await page.route(/\/worker-\w+\.js$/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `(${keep})();${await response.text()}` });
  });
}

/** How many devices the page's youngest worker has made; the last of them is destroyed where that is asked for. */
async function countDevices(page: Page, destroy = false): Promise<number> {
  const worker = page.workers().at(-1)!;
  return worker.evaluate((destroy) => {
    if (destroy) devices.at(-1)!.destroy();
    return devices.length;
  }, destroy);
}

describe("the page's kernel bench", () => {
  inChromium("measures what is asked for, shows it, and gives it as JSON", "webgpu", async ({ task }) => {
    const { page, faults } = await openBench();
    task.meta.siglip!.adapter = label(page);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByText("Software adapter", { exact: true }).waitFor();
    const facts = await page.locator(".facts").first().innerText();
    expect(facts).toMatch(/swiftshader/);
    expect(facts).toMatch(/Subgroups\s+of 4 threads/);
    expect(await button(page, "Copy JSON").isDisabled()).toBe(true);

    await measure(page, "layer norm");
    await page.getByText(/^Done, /).waitFor({ timeout: 60_000 });
    expect(await page.locator(".status:visible").innerText()).toMatch(/: 1 timed, 0 wrong, 1 skipped in /);
    const table = page.getByRole("table", { name: /verified and timed/ });
    const rows = await table.locator("tbody tr").allInnerTexts();
    expect(rows.map((row) => row.split("\t").slice(0, 2))).toEqual([["layer norm", "64 × 1152"]]);
    expect(rows[0]).toMatch(/\d% of copy/);
    expect(await page.locator(".chart li svg .best").count()).toBe(1);
    // A scrollbar that is always there, and shadows at the ends: the browser of tests draws no scrollbars.
    const style = await page.locator(".table").evaluate((table) => {
      const { overflowX, backgroundImage, scrollbarColor } = getComputedStyle(table);
      return { overflowX, shadows: backgroundImage.split("linear-gradient").length - 1, scrollbarColor };
    });
    expect(style).toMatchObject({ overflowX: "scroll", shadows: 4 });
    expect(style.scrollbarColor).not.toBe("auto");
    await page.getByText("1 skipped").last().click();
    await page.getByText("the device lacks shader-f16").waitFor();
    await keepScreenshots(page, "bench");

    await button(page, "Copy JSON").click();
    await page.getByText("Results copied.").waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const downloading = page.waitForEvent("download");
    await button(page, "Save JSON").click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe("siglip-kernels.json");
    expect(await text(await download.createReadStream())).toBe(copied);
    const result: PageResult = JSON.parse(copied);
    expect(result.adapter).toMatchObject({ software: true });
    expect(result.full).toBe(false);
    expect(result.ceilings!.f32).toBeGreaterThan(0);
    const [norm] = result.rows.filter(({ median }) => median !== undefined);
    expect(norm).toMatchObject({ op: "layer_norm", shape: "64 x 1152", activations: "f32" });
    expect(norm.nmse).toBeLessThan(1e-10);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  inChromium(
    "stops at once, keeps what it has, starts again, and tells when its device is lost",
    "webgpu",
    async ({ task }) => {
      const { page, faults } = await openBench(keepDevices);
      task.meta.siglip!.adapter = label(page);
      await measure(page, "linear");
      await page.locator(".bench tbody tr").first().waitFor({ timeout: 90_000 });
      await button(page, "Stop").click();
      expect(await page.locator(".status:visible").innerText()).toMatch(/^Stopped: [1-9]\d* timed, 0 wrong, /);
      expect(await button(page, "Copy JSON").isEnabled()).toBe(true);
      // Wider than the phone is the table alone, which scrolls by itself.
      const { wide, contents } = await phoneWidths(page);
      expect(contents).toBeLessThanOrEqual(wide);

      await measure(page, "linear");
      await page.getByText(/^Measuring what .*: copy/).waitFor({ timeout: 60_000 });
      expect(await countDevices(page, true)).toBe(1);
      await page.getByText(/^bench: wanted a device that lasts, found it lost \(.*\); measure again\.$/).waitFor();
      expect(await button(page, "Measure").isEnabled()).toBe(true);
      expect(faults).toEqual([]);
      await page.context().close();
    },
  );

  inChromium("says what it lacks where there is no WebGPU", "chromium", async () => {
    const { page, faults } = await openBench((page) =>
      page.addInitScript(() => {
        delete (Navigator.prototype as { gpu?: GPU }).gpu;
      }),
    );
    await page.getByText(/^bench: wanted a GPU to measure, found .* no WebGPU; /).waitFor();
    expect(await button(page, "Measure").count()).toBe(0);
    expect(faults).toEqual([]);
    await page.context().close();
  });
});

inChromium("the page classifies on after its model's device is lost", "webgpu", async ({ task }) => {
  const { page, faults } = await website.visit(undefined, keepDevices);
  task.meta.siglip!.adapter = label(page);
  await page.click("#model-button");
  await page.selectOption("#backend", "webgpu");
  await page.click("#load");
  await page.waitForFunction(() => document.querySelector("#model-device")?.textContent?.includes("GPU"));
  const shown = (labels: number) =>
    page.waitForFunction((labels) => document.querySelectorAll("#bars:not(.stale) li").length === labels, labels, {
      timeout: 60_000,
    });
  await shown(6);
  expect(await countDevices(page, true)).toBe(1);
  await page.fill("#labels", "an umbrella\na dog and a banana");
  await shown(2);
  expect(await page.locator("#bars .label").allInnerTexts()).toEqual(["a dog and a banana", "an umbrella"]);
  expect(await countDevices(page)).toBe(2);
  expect(faults).toEqual([]);
  await page.context().close();
});
