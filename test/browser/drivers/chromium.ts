import { openChromium } from "../../harness/shared.ts";
import { noChromium } from "../chromium.ts";
import type { BrowserKind } from "./driver.ts";

/** The Chromium of all other tests, by Playwright. */
export const chromium: BrowserKind = {
  missing: noChromium,
  async start() {
    const browser = await openChromium();
    const context = await browser.newContext({ viewport: { width: 1200, height: 860 } });
    return {
      version: `Chromium ${browser.version()}`,
      async openPage() {
        const page = await context.newPage();
        page.setDefaultTimeout(120_000);
        return {
          goto: async (url) => void (await page.goto(url)),
          // The types of Playwright take the argument apart.
          evaluate: (body, argument) => page.evaluate(body as never, argument),
          click: (selector) => page.click(selector),
          fill: (selector, text) => page.fill(selector, text),
          screenshot: async (path) => void (await page.screenshot({ path })),
          close: () => page.close(),
        };
      },
      [Symbol.asyncDispose]: () => browser.close(),
    };
  },
};
