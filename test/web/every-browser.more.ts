// The page's views in every browser that is installed.
import { mkdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import { type DrivenPage, until } from "../browser/drivers/driver.ts";
import { inEveryBrowser } from "../browser/drivers/every.ts";
import { openWebsite, type Website } from "../browser/website.ts";

const captions: { file: string; caption: string }[] = readFileSync(
  new URL("../../weights/demo/eval/captions.jsonl", import.meta.url),
  "utf8",
)
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const scenes = captions.slice(0, 8);

let website: Website;
beforeAll(async () => {
  mkdirSync("test/artefacts", { recursive: true });
  website = await openWebsite();
});
afterAll(async () => website?.[Symbol.asyncDispose]());

/** The labels as they are shown, once the page has worked off what was typed. */
function bars(page: DrivenPage, first: string): Promise<string[]> {
  return until(
    page,
    (first) => {
      const labels = [...document.querySelectorAll("#bars:not(.stale) .label")].map((label) => label.textContent!);
      return labels[0] === first && labels;
    },
    first,
  ) as Promise<string[]>;
}

const text = (page: DrivenPage, selector: string): Promise<string> =>
  page.evaluate((selector) => document.querySelector<HTMLElement>(selector)!.innerText, selector);

/** Waits for what the search says, and gives it all. */
function status(page: DrivenPage, part: string): Promise<string> {
  const find = (part: string) => {
    const text = document.querySelector("#search-status")!.textContent!;
    return text.includes(part) && text;
  };
  return until(page, find, part) as Promise<string>;
}

/** Chooses files of the site in an input; the dialog that a user would see is the browser's own. */
function choose(page: DrivenPage, input: string, files: readonly string[]): Promise<void> {
  return page.evaluate(
    async ([input, files]) => {
      const transfer = new DataTransfer();
      for (const file of files) {
        const blob = await (await fetch(file)).blob();
        transfer.items.add(new File([blob], file.split("/").at(-1)!, { type: blob.type, lastModified: 1 }));
      }
      const element = document.querySelector<HTMLInputElement>(input)!;
      element.files = transfer.files;
      element.dispatchEvent(new Event("change"));
    },
    [input, files] as const,
  );
}

inEveryBrowser((browser) => {
  let opened: Promise<DrivenPage> | undefined;
  /** The page that the cases share, one after another. */
  const visit = () => {
    opened ??= browser.openPage().then(async (page) => {
      await page.goto(website.url);
      return page;
    });
    return opened;
  };
  const shoot = (page: DrivenPage, view: string) => page.screenshot(`test/artefacts/${browser.name}-${view}.png`);

  browser.test("classify: bars, for what is typed and chosen, and what is missing", "page", async () => {
    const page = await visit();
    const started = performance.now();
    expect((await bars(page, "a dog and a banana")).length).toBe(6);
    console.log(`${browser.name}: first result ${((performance.now() - started) / 1000).toFixed(2)} s after the page`);
    const why = browser.name === "chromium" ? "WebGPU found no graphics hardware" : "This browser has no WebGPU";
    expect(await text(page, "#running")).toMatch(new RegExp(`^${why}\\. Models run on the CPU: 1 thread, simd`));
    await page.fill("#labels", "a guitar\ntwo cats\npizza");
    await choose(page, "#file", ["examples/two-cats.png"]);
    expect((await bars(page, "two cats")).length).toBe(3);
    await until(page, () => document.querySelector<HTMLImageElement>("#picture")!.naturalWidth > 0);
    await shoot(page, "classify");
  });

  browser.test("search: pictures indexed, found by text and by picture", "page", async () => {
    const page = await visit();
    await page.click("nav a[href='#search']");
    await status(page, "No pictures yet");
    await choose(
      page,
      "#folder-input",
      scenes.map(({ file }) => `samples/${file}`),
    );
    await status(page, `${scenes.length} pictures to search`);
    for (const { file, caption } of scenes.slice(0, 3)) {
      await page.fill("#query", caption);
      await until(page, (file) => document.querySelector("#grid .caption span")?.textContent === file, file);
    }
    expect(await status(page, "Searched in")).toContain(`${scenes.length} pictures to search.`);
    await choose(page, "#query-file", [`samples/${scenes[5].file}`]);
    await until(page, (file) => document.querySelector("#grid .caption span")?.textContent === file, scenes[5].file);
    await until(page, () => document.querySelector<HTMLImageElement>("#grid img")!.naturalWidth > 0);
    await shoot(page, "search");

    // What it saves it opens again; the download itself is the browser's.
    await page.evaluate(() => {
      const blobs = new Map<string, Blob>();
      const { createObjectURL } = URL;
      URL.createObjectURL = (blob: Blob) => {
        const url = createObjectURL(blob);
        blobs.set(url, blob);
        return url;
      };
      HTMLAnchorElement.prototype.click = function () {
        const transfer = new DataTransfer();
        transfer.items.add(new File([blobs.get(this.href)!], this.download));
        const input = document.querySelector<HTMLInputElement>("#index-file")!;
        input.files = transfer.files;
        input.dispatchEvent(new Event("change"));
      };
      document.querySelector<HTMLButtonElement>("#save-index")!.click();
    });
    await status(page, `0 pictures added from pictures.safetensors. ${scenes.length} were here already.`);
  });

  browser.test("bench: says what it lacks", "page", async () => {
    const page = await visit();
    await page.click("nav a[href='#bench']");
    const said = (await until(page, () => document.querySelector<HTMLElement>(".bench")?.innerText)) as string;
    if (browser.name === "chromium") expect(said).toMatch(/^software adapter/i);
    else expect(said).toMatch(/^bench: wanted a GPU to measure, found .* no WebGPU; use the other views/);
    await shoot(page, "bench");
  });

  browser.test("a second visit: pictures are still there, and threads where memory is shared", "page", async () => {
    const page = await visit();
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
    await page.goto(`${website.url}?again#search`);
    await status(page, `${scenes.length} pictures to search`);
    await page.click("nav a[href='#classify']");
    await bars(page, "a dog and a banana");
    const { isolated, shared, cores } = await page.evaluate(() => ({
      isolated: crossOriginIsolated,
      shared: typeof SharedArrayBuffer === "function",
      cores: Math.min(navigator.hardwareConcurrency, 16),
    }));
    expect(isolated).toBe(true);
    const how = shared
      ? `: ${cores} threads?, simd[^;]*`
      : ": 1 thread, simd.*; this browser shares no memory with threads";
    expect(await text(page, "#running")).toMatch(new RegExp(`Models run on the CPU${how}\\.$`));
    await shoot(page, "again");
  });
});
