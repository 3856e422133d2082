import type { BrowserContext, Page } from "playwright-core";
import type { TestContext } from "vitest";
import { tallied } from "../harness/cases.ts";
import { openChromium } from "../harness/shared.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { noChromium } from "./chromium.ts";
import { type Site, serveSite } from "./site.ts";

/** A browser and a site with scripts of this folder, page.ts among them. */
export interface Setup extends AsyncDisposable {
  readonly bundle: Bundle;
  readonly site: Site;
  /** What cases that ran here name as their adapter. */
  readonly label: string;
  /** An empty page with the library in it, loaded after `before` has run there; with storage of its own unless a context is given. */
  openPage(before?: () => void, context?: BrowserContext): Promise<Page>;
  /** Storage that pages share. */
  openContext(): Promise<BrowserContext>;
}

/** Starts both; `files` are served by their names, and folders under theirs. */
export async function setUp(
  entries: readonly string[],
  folders: Readonly<Record<string, URL>>,
  files: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<Setup> {
  const bundled = await bundle(entries);
  const site = await serveSite(new Map([...bundled.scripts, ...files]), folders);
  const browser = noChromium ? undefined : await openChromium();
  return {
    bundle: bundled,
    site,
    label: `chromium ${browser?.version()} swiftshader`,
    openContext: () => browser!.newContext(),
    async openPage(before, context) {
      const page = await (context ?? browser!).newPage();
      page.setDefaultTimeout(120_000);
      if (before) await page.addInitScript(before);
      await page.goto(site.url);
      await page.addScriptTag({ url: "/page.js", type: "module" });
      await page.waitForFunction(() => "siglip" in globalThis);
      return page;
    },
    async [Symbol.asyncDispose]() {
      await browser?.close();
      await site[Symbol.asyncDispose]();
    },
  };
}

/** A test in Chromium, skipped with the reason where there is none; of the webgpu backend also where GPU cases are not wanted. */
export function inChromium(
  name: string,
  backend: "webgpu" | "wasm" | "cpu" | "chromium",
  body: (context: TestContext) => Promise<void>,
  precision = backend === "chromium" ? "" : "f32",
): void {
  const unwanted = backend === "webgpu" && process.env.SIGLIP_ADAPTER === "none" ? "SIGLIP_ADAPTER is none" : undefined;
  tallied(name, { backend, precision, skip: noChromium ?? unwanted }, body);
}
