import { mkdirSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { type Built, buildPage } from "../../src/web/node/build.ts";
import { pageServer } from "../../src/web/node/serve.ts";
import { openChromium } from "../harness/shared.ts";
import { noChromium } from "./chromium.ts";

/** Where screenshots go, outside of git. */
const ARTEFACTS = fileURLToPath(new URL("../artefacts/", import.meta.url));

/** The page of src/web, built and served, and a browser. */
export interface Website extends AsyncDisposable {
  /** What is served by now; tests may change it. */
  readonly files: Built;
  readonly url: string;
  /** The page in a browser that has never seen it, or in one that has; `before` is set up first. */
  visit(context?: BrowserContext, before?: (page: Page) => Promise<unknown>): Promise<Visit>;
  newContext(): Promise<BrowserContext>;
  /** Switches the server off and on again, with the same address. */
  serve(on: boolean): Promise<void>;
}

/** One visit, and what is not to happen in it. */
export interface Visit {
  readonly page: Page;
  /** Errors and warnings of the console, uncaught errors, and requests to anywhere else. */
  readonly faults: string[];
}

/** Builds the page and serves it in a folder, as a host with many sites would. */
export async function openWebsite(): Promise<Website> {
  const files = await buildPage();
  const folder = "/some/folder/";
  let server = pageServer(files, folder);
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}${folder}`;
  const browser: Browser | undefined = noChromium ? undefined : await openChromium();
  const newContext = () => browser!.newContext({ viewport: { width: 1200, height: 860 } });
  return {
    files,
    url,
    newContext,
    async visit(context, before) {
      const page = await (context ?? (await newContext())).newPage();
      // Half a minute is too little for a software adapter beside other tests; a hang still ends.
      page.setDefaultTimeout(120_000);
      const faults: string[] = [];
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) faults.push(message.text());
      });
      page.on("pageerror", (error) => faults.push(String(error)));
      page.on("request", (request) => {
        if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(url)) faults.push(request.url());
      });
      await before?.(page);
      await page.goto(url);
      return { page, faults };
    },
    async serve(on) {
      if (!on) return void (await close());
      server = pageServer(files, folder);
      await listen(port);
    },
    async [Symbol.asyncDispose]() {
      await browser?.close();
      await close();
    },
  };
}

/** Keeps pictures of the page in light, in dark and on a phone, and leaves it as it was. */
export async function keepScreenshots(page: Page, name: string): Promise<void> {
  mkdirSync(ARTEFACTS, { recursive: true });
  const shoot = (how: string) => page.screenshot({ path: `${ARTEFACTS}page-${name}-${how}.png` });
  const size = page.viewportSize()!;
  await shoot("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot("dark");
  await page.setViewportSize({ width: 375, height: 780 });
  await shoot("phone-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await shoot("phone");
  await page.setViewportSize(size);
}

/** The page's width and that of its contents on a phone: equal where nothing sticks out. */
export async function phoneWidths(page: Page): Promise<{ wide: number; contents: number }> {
  const size = page.viewportSize()!;
  await page.setViewportSize({ width: 375, height: 780 });
  const widths = await page.evaluate(async () => {
    // What a ResizeObserver lays out is there before the frame is painted, but not before there is a frame.
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    await frame();
    return { wide: document.documentElement.clientWidth, contents: document.documentElement.scrollWidth };
  });
  await page.setViewportSize(size);
  return widths;
}
