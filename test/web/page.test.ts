import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KNOWN, RECOMMENDED } from "../../src/web/models/known.ts";
import { inChromium } from "../browser/setup.ts";
import { keepScreenshots, openWebsite, phoneWidths, type Website } from "../browser/website.ts";
import { serveFiles } from "../harness/server.ts";
import { demoJson, variant } from "../siglip/variants.ts";

const demo = new URL("../../weights/demo/", import.meta.url);
const example = (name: string) => fileURLToPath(new URL(`examples/${name}`, demo));

const MODEL = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"];

let website: Website;
beforeAll(async () => {
  website = await openWebsite();
});
afterAll(async () => website?.[Symbol.asyncDispose]());

/** The bars as they are shown, once the page has worked off what was typed. */
async function bars(page: Page, first: string): Promise<[label: string, percent: number][]> {
  await page.waitForFunction(
    (label) => document.querySelector("#bars:not(.stale) .label")?.textContent === label,
    first,
  );
  return page.$$eval("#bars li", (rows) =>
    rows.map((row) => {
      const text = (name: string) => row.querySelector(name)!.textContent!;
      return [text(".label"), Number.parseFloat(text(".percent").replace("<", ""))];
    }),
  );
}

describe("the page", () => {
  inChromium("classifies an example on opening, from its own files alone, and nothing moves", "cpu", async () => {
    const start = performance.now();
    const { page, faults } = await website.visit(undefined, (page) =>
      page.addInitScript(() => {
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries())
            globalThis.shifted += (entry as PerformanceEntry & { value: number }).value;
        }).observe({ type: "layout-shift", buffered: true });
        globalThis.shifted = 0;
      }),
    );
    const shown = await bars(page, "a dog and a banana");
    console.log(`page: first result ${((performance.now() - start) / 1000).toFixed(2)} s after a cold start`);
    expect(shown.map(([label]) => label)).toEqual([
      "a dog and a banana",
      "a fruit",
      "a dog",
      "a dog and an apple",
      "two dogs",
      "a car",
    ]);
    expect(shown[0][1]).toBeGreaterThan(95);
    expect(shown[5][1]).toBeLessThan(1);
    // A label that is chosen is shown over the picture, and not when it is left again.
    await page.click('#bars button:text-is("a dog")');
    await page.waitForSelector("#heat", { state: "visible" });
    const hot = await page.$eval("#heat", (canvas: HTMLCanvasElement) => {
      const { width, height } = canvas;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, width, height);
      const opacity = data.filter((_, i) => i % 4 === 3);
      return (opacity.indexOf(opacity.reduce((a, b) => Math.max(a, b))) % width) / width;
    });
    expect(hot, "the dog is on the left").toBeLessThan(0.5);
    expect(await page.getAttribute('#bars button:text-is("a dog")', "aria-pressed")).toBe("true");
    expect(await page.textContent("#classify-status")).toContain("Red is where “a dog” is");
    await page.click('#bars button:text-is("a dog")');
    await page.waitForSelector("#heat", { state: "hidden" });
    expect(await page.textContent("#model-button")).toMatch(/demo\s+f16 · CPU/);
    expect(await page.textContent("#running")).toMatch(
      /^WebGPU found no graphics hardware. Models run on the CPU: 1 thread, simd.*; on every core after a reload, if this browser shares memory\.$/,
    );
    expect(await page.textContent("#announcer")).toMatch(/^$|a dog and a banana/);
    // What counts as good among web vitals.
    expect(await page.evaluate(() => globalThis.shifted)).toBeLessThan(0.1);
    expect(faults).toEqual([]);
    await page.close();
  });

  inChromium("judges labels as they are typed, whatever they are", "cpu", async () => {
    const { page, faults } = await website.visit();
    await bars(page, "a dog and a banana");
    await page.click("text=Labels, one a line");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("a car\n<img src=x onerror=alert(1)>\na cat and a banana\n\na fruit\na fruit");
    const typed = await bars(page, "a fruit");
    expect(typed.map(([label]) => label).sort()).toEqual(
      ["<img src=x onerror=alert(1)>", "a car", "a cat and a banana", "a fruit"].sort(),
    );
    const before = await page.innerText("#bars");
    await page.fill("#template", "{label}");
    await page.waitForFunction((before) => document.querySelector<HTMLElement>("#bars")!.innerText !== before, before);
    await page.fill("#template", "no place for it");
    await page.waitForSelector("#classify-status.failed");
    await page.fill("#labels", "");
    await page.waitForSelector("#bars:empty", { state: "attached" });
    expect(faults).toEqual([]);
    await page.close();
  });

  inChromium("takes pictures that are chosen, dropped, pasted, and seen by the camera", "cpu", async () => {
    const { page, faults } = await website.visit(undefined, (page) => page.addInitScript(fakeCamera));
    await bars(page, "a dog and a banana");
    await page.fill("#labels", "two cats\npizza\na guitar\nthree birds");
    await page.setInputFiles("#file", example("two-cats.png"));
    await bars(page, "two cats");
    expect(await page.getAttribute("#picture", "alt")).toBe("two-cats.png");
    for (const [event, file, label] of [
      ["drop", "pizza.png", "pizza"],
      ["paste", "guitar.jpg", "a guitar"],
    ] as const) {
      const data = await page.evaluateHandle(async (file) => {
        const transfer = new DataTransfer();
        const blob = await (await fetch(`examples/${file}`)).blob();
        transfer.items.add(new File([blob], file, { type: blob.type }));
        return transfer;
      }, file);
      if (event === "drop") await page.dispatchEvent("#stage", "drop", { dataTransfer: data });
      else await page.evaluate((data) => dispatchEvent(new ClipboardEvent("paste", { clipboardData: data })), data);
      await bars(page, label);
    }
    await page.click("#camera");
    await bars(page, "three birds");
    await page.waitForFunction(() => document.querySelector("#classify-status")!.textContent!.includes("a second"));
    await page.click('#bars button:text-is("three birds")');
    expect(await page.getAttribute('#bars button:text-is("three birds")', "aria-pressed")).toBe("false");
    await page.click("#camera");
    expect(await page.isVisible("#picture")).toBe(true);
    await page.setInputFiles("#file", fileURLToPath(new URL("config.json", demo)));
    await page.waitForSelector("#classify-status.failed");
    expect(await page.textContent("#classify-status")).toMatch(/^config.json: wanted .*, found .*; .*\.$/);
    await page.click("#camera");
    await page.waitForFunction(() => document.querySelector("#classify-status")!.textContent!.includes("a second"));
    expect(await page.getAttribute("#classify-status", "class")).not.toContain("failed");
    expect(faults).toEqual([]);
    await page.close();
  });

  inChromium("says that WebGPU is missing, and carries on without", "cpu", async () => {
    const { page, faults } = await website.visit(undefined, async (page) => {
      await page.addInitScript(() => {
        delete (Navigator.prototype as { gpu?: GPU }).gpu;
      });
      await prefixWorker(page, "delete WorkerNavigator.prototype.gpu;");
    });
    await bars(page, "a dog and a banana");
    expect(await page.textContent("#running")).toMatch(/^This browser has no WebGPU\. Models run on the CPU: .*\.$/);
    expect(faults).toEqual([]);
    await page.close();
  });

  inChromium("can be used by keyboard and on a phone, every control named", "cpu", async () => {
    const { page, faults } = await website.visit();
    await bars(page, "a dog and a banana");
    const focused = () => page.evaluate(() => document.activeElement!.textContent!.trim());
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Skip to the contents");
    for (const name of ["SigLIP", "Classify", "Search"]) {
      await page.keyboard.press("Tab");
      expect(await focused()).toBe(name);
    }
    await page.keyboard.press("Enter");
    await page.waitForSelector("#view-search:not([hidden])");
    expect(await page.title()).toBe("Search your photos · SigLIP");
    expect(await page.getAttribute("nav a[aria-current]", "href")).toBe("#search");
    for (const view of ["classify", "search", "bench"]) {
      await page.click(`nav a[href="#${view}"]`);
      const { wide, contents } = await phoneWidths(page);
      expect(contents, view).toBe(wide);
    }
    await page.click('nav a[href="#classify"]');
    await page.setViewportSize({ width: 375, height: 667 });
    await page.locator("#bars li").last().scrollIntoViewIfNeeded();
    const seen = await page.evaluate(() => {
      const inside = (selector: string) => {
        const { top, bottom } = document.querySelector(selector)!.getBoundingClientRect();
        return { top: Math.round(top), bottom: Math.round(bottom) };
      };
      return { stage: inside("#stage"), bars: inside("#bars") };
    });
    expect(seen.stage.top).toBeGreaterThanOrEqual(0);
    expect(seen.bars.top).toBeGreaterThanOrEqual(seen.stage.bottom);
    expect(seen.bars.bottom).toBeLessThanOrEqual(667);
    await page.screenshot({ path: "test/artefacts/page-phone-bars.png" });
    await page.emulateMedia({ forcedColors: "active" });
    const shapes = await page.evaluate(() => {
      const style = (selector: string) => getComputedStyle(document.querySelector(selector)!);
      const marked = (selector: string) => style(selector).outlineStyle;
      return [marked("nav a[aria-current]"), marked("nav a:not([aria-current])"), style("#model-dot").borderTopStyle];
    });
    expect(shapes).toEqual(["solid", "none", "solid"]);
    await page.setViewportSize({ width: 1200, height: 860 });
    await page.screenshot({ path: "test/artefacts/page-forced-colours.png" });
    await page.emulateMedia({ forcedColors: "none" });
    const unnamed = await page.$$eval("button, input, select, textarea, a, img:not([alt])", (all) =>
      all
        .filter((element) => {
          const { labels } = element as HTMLInputElement;
          const text = element.getAttribute("aria-label") ?? element.textContent!.trim();
          return text === "" && !labels?.length && !element.querySelector("img[alt]:not([alt=''])");
        })
        .map((element) => element.outerHTML),
    );
    expect(unnamed).toEqual([]);
    expect(faults).toEqual([]);
    await page.close();
  });
});

describe("the choice of models", () => {
  inChromium(
    "loads files, addresses and precisions; a model that does not load leaves the one in use",
    "cpu",
    async () => {
      for (const name of ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"]) {
        website.files.set(`model/${name}`, readFileSync(new URL(name, demo)));
      }
      const alone = { ...demoJson("config.json").vision_config, model_type: "siglip_vision_model" };
      const image = (name: string) => (name.startsWith("vision_model.") ? { name } : undefined);
      for (const file of await variant({ config: alone, tensor: image })) {
        website.files.set(`tower/${file.name}`, new Uint8Array(await file.arrayBuffer()));
      }
      const { page } = await website.visit();
      await bars(page, "a dog and a banana");
      const load = async (options: Record<string, string>) => {
        await page.click("#model-button");
        for (const [id, value] of Object.entries(options)) await page.selectOption(`#${id}`, value);
      };
      await load({ known: RECOMMENDED.id });
      expect(await page.inputValue("#dtype")).toBe("q4");
      const offered = await page.$$eval("#known option", (all) => all.map((option) => option.textContent!));
      expect(offered[1]).toBe("siglip-base-patch16-224 · 813 MB, recommended at q4");
      expect(offered.at(-3)).toMatch(/^siglip2-giant/);
      await page.click("#close-models");
      await load({ known: "disk", dtype: "q4", backend: "cpu" });
      await keepScreenshots(page, "models");
      await page.setInputFiles("#disk-folder", fileURLToPath(demo));
      await page.click("#load");
      await page.waitForFunction(() => document.querySelector("#model-button")!.textContent!.includes("q4 · CPU"));
      expect((await bars(page, "a dog and a banana"))[0][1]).toBeGreaterThan(80);
      expect(await page.textContent("#running")).toBe("Runs on the CPU.");

      await load({ known: "other", dtype: "q8" });
      await page.fill("#other", "./nothing/");
      await page.click("#load");
      await page.waitForSelector("#load-status.failed");
      expect(await page.textContent("#load-status")).toMatch(/^http:\S+: wanted config.json, found none; .*\.$/);
      expect(await page.textContent("#model-button")).toContain("q4 · CPU");
      await page.fill("#other", "./model/");
      await page.click("#load");
      await page.waitForFunction(() => document.querySelector("#model-button")!.textContent!.includes("q8 · CPU"));
      expect(await page.textContent("#model-name")).toBe(`${website.url}model/`);

      await load({ known: "other", towers: "image" });
      await page.fill("#other", "./tower/");
      await page.click("#load");
      await page.waitForFunction(() => document.querySelector("#model-name")!.textContent!.endsWith("tower/"));

      await load({ known: "google/siglip-so400m-patch14-384", dtype: "f16", towers: "image", backend: "webgpu" });
      expect(await page.textContent("#model-size")).toMatch(
        /^Transfers 1.71 GB once, then takes 856 MB on the device as f16/,
      );
      await page.close();
    },
  );

  inChromium("lists what the browser keeps, which loads without the server, and deletes it", "cpu", async () => {
    for (const name of MODEL) website.files.set(`model/${name}`, readFileSync(new URL(name, demo)));
    const context = await website.newContext();
    const first = await website.visit(context);
    await bars(first.page, "a dog and a banana");
    await first.page.click("#model-button");
    await first.page.selectOption("#known", "other");
    await first.page.selectOption("#dtype", "q8");
    await first.page.fill("#other", "./model/");
    await first.page.click("#load");
    await first.page.waitForFunction(() => document.querySelector("#model-button")!.textContent!.includes("q8 · CPU"));
    await first.page.evaluate(() => navigator.serviceWorker.ready);
    await first.page.click("#model-button");
    const row = first.page.locator("#kept-list li");
    // The token table follows in the background.
    await expect
      .poll(
        async () => {
          await first.page.click("#close-models");
          await first.page.click("#model-button");
          return row.getByText("Load", { exact: true }).count();
        },
        { timeout: 10_000, interval: 500 },
      )
      .toBe(1);
    expect(await row.textContent()).toMatch(/\/model\/ · q8 · image and text · [\d.]+ MBLoadDelete$/);
    await keepScreenshots(first.page, "kept");
    await first.page.close();

    await website.serve(false);
    const { page } = await website.visit(context);
    await bars(page, "a dog and a banana");
    await page.click("#model-button");
    await page.click("#kept-list li button:text-is('Load')");
    await page.waitForFunction(() => document.querySelector("#model-button")!.textContent!.includes("q8 · CPU"));
    await bars(page, "a dog and a banana");
    await page.fill("#labels", "a guitar\na banana");
    await bars(page, "a banana");
    await page.click("#model-button");
    await page.click("#kept-list li button:text-is('Delete')");
    await page.waitForSelector("#kept", { state: "hidden" });
    await website.serve(true);
    await context.close();
  });

  inChromium("runs on WebGPU where that is chosen", "webgpu", async (context) => {
    const { page, faults } = await website.visit();
    await bars(page, "a dog and a banana");
    await page.click("#model-button");
    await page.selectOption("#backend", "webgpu");
    await page.click("#load");
    await page.waitForFunction(() => document.querySelector("#model-button")!.textContent!.includes("f16 · GPU"));
    expect((await bars(page, "a dog and a banana"))[0][1]).toBeGreaterThan(95);
    const runs = await page.textContent("#running");
    expect(runs).toMatch(/^Runs on .* \(software\)\.$/);
    context.task.meta.siglip!.adapter = `chromium ${runs!.slice("Runs on ".length, -1)}`;
    expect(faults).toEqual([]);
    await page.close();
  });

  it("knows how many parameters the published checkpoints have", () => {
    const { image, text, table } = KNOWN.find(({ id }) => id === "google/siglip-so400m-patch14-384")!.parameters;
    expect([image, text + table].map((count) => Math.round(count / 1e4) / 100)).toEqual([428.23, 449.73]);
  });
});

describe("a second visit", () => {
  inChromium(
    "is isolated from other sites: memory is shared with threads, and other servers' models load",
    "cpu",
    async () => {
      const context = await website.newContext();
      const first = await website.visit(context);
      await bars(first.page, "a dog and a banana");
      await first.page.evaluate(() => navigator.serviceWorker.ready);
      await first.page.close();
      const { page, faults } = await website.visit(context);
      await bars(page, "a dog and a banana");
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
      const cores = await page.evaluate(() => Math.min(navigator.hardwareConcurrency, 16));
      expect(await page.textContent("#running")).toContain(`Models run on the CPU: ${cores} thread`);
      const ready = await page.evaluate(async () => {
        const worker = new Worker("thread.js");
        const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
        worker.postMessage({ memory, control: 64, index: 0 });
        const answer = await new Promise((resolve) => worker.addEventListener("message", ({ data }) => resolve(data)));
        worker.terminate();
        return answer;
      });
      expect(ready).toBe("ready");
      expect(faults).toEqual([]);

      const files = Object.fromEntries(MODEL.map((name) => [`m/${name}`, readFileSync(new URL(name, demo))]));
      await using server = await serveFiles(files);
      await page.click("#model-button");
      await page.selectOption("#known", "other");
      await page.selectOption("#dtype", "q8");
      await page.selectOption("#backend", "cpu");
      await page.fill("#other", `${server.url}m/`);
      await page.click("#load");
      await page.waitForFunction(() => document.querySelector("#model-button")!.textContent!.includes("q8 · CPU"));
      await bars(page, "a dog and a banana");
      await context.close();
    },
  );

  inChromium("works with the server switched off, and takes a newer version when told to", "cpu", async () => {
    const context = await website.newContext();
    const first = await website.visit(context);
    await bars(first.page, "a dog and a banana");
    await first.page.evaluate(() => navigator.serviceWorker.ready);
    await first.page.close();

    await website.serve(false);
    const { page, faults } = await website.visit(context);
    await bars(page, "a dog and a banana");
    await page.setInputFiles("#file", example("two-cats.png"));
    await page.fill("#labels", "2 cats\na plane");
    await bars(page, "2 cats");
    expect(faults).toEqual([]);

    const text = (name: string) => Buffer.from(website.files.get(name)!).toString();
    const older = text("index.html");
    const newer = older.replace("What is in the picture?", "What is it?");
    website.files.set("index.html", Buffer.from(newer));
    const version = /"[0-9a-f]{16}"/;
    const sha256 = (html: string) => createHash("sha256").update(html).digest("hex");
    const worker = text("service-worker.js").replace(version, '"newer"').replace(sha256(older), sha256(newer));
    website.files.set("service-worker.js", Buffer.from(worker));
    await website.serve(true);
    await page.reload();
    expect(await page.textContent("#title-classify")).toBe("What is in the picture?");
    await page.click("#reload");
    await page.waitForFunction(() => document.querySelector("#title-classify")?.textContent === "What is it?");
    await bars(page, "a dog and a banana");
    const caches = await page.evaluate(async () => globalThis.caches.keys());
    expect(caches.filter((name) => name.startsWith("siglip page"))).toEqual([`siglip page ${website.url} newer`]);
    await context.close();
  });
});

/** Has the page's workers run something first, which scripts set up for a page do not. */
async function prefixWorker(page: Page, script: string): Promise<void> {
  await page.route("**/worker-*.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: script + (await response.text()) });
  });
}

declare global {
  var shifted: number;
}

/** A camera that sees three birds. */
function fakeCamera(): void {
  navigator.mediaDevices.getUserMedia = async () => {
    const image = new Image();
    image.src = "examples/three-birds.png";
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const draw = () => canvas.getContext("2d")!.drawImage(image, 0, 0);
    setInterval(draw, 50);
    return canvas.captureStream(20);
  };
}
