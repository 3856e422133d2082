import { type Browser, launch } from "puppeteer-core";
import { type BrowserKind, browserEnvironment, findProgram } from "./driver.ts";
import { temporaryFolder } from "./temporary.ts";

const executablePath = findProgram("firefox-esr", "firefox");

function launchFirefox(home: string): Promise<Browser> {
  return launch({
    browser: "firefox",
    executablePath,
    headless: true,
    env: browserEnvironment(home),
    protocolTimeout: 300_000,
    defaultViewport: { width: 1200, height: 860 },
  });
}

/** Starts Firefox with the extension of a folder, whose background tells by requests what it finds. */
export async function startWithExtension(folder: string): Promise<AsyncDisposable> {
  const home = temporaryFolder("firefox");
  const browser = await launchFirefox(home.path);
  await browser.installExtension(folder);
  return {
    async [Symbol.asyncDispose]() {
      await browser.close();
      await home.remove();
    },
  };
}

/** Debian's Firefox, headless, by Puppeteer (WebDriver BiDi). */
export const firefox: BrowserKind = {
  missing: executablePath ? undefined : "no firefox-esr is installed",
  async start() {
    const home = temporaryFolder("firefox");
    const browser = await launchFirefox(home.path);
    return {
      version: await browser.version(),
      async openPage() {
        const page = await browser.newPage();
        page.setDefaultTimeout(120_000);
        return {
          goto: async (url) => void (await page.goto(url)),
          evaluate: (body, argument) => page.evaluate(body as never, argument) as never,
          click: (selector) => page.locator(selector).click(),
          fill: (selector, text) => page.locator(selector).fill(text),
          screenshot: async (path) => void (await page.screenshot({ path: path as `${string}.png` })),
          close: () => page.close(),
        };
      },
      async [Symbol.asyncDispose]() {
        await browser.close();
        await home.remove();
      },
    };
  },
};
