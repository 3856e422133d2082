import { type Browser, type LaunchOptions, launch } from "puppeteer-core";
import { noDisplay, startDisplay } from "./display.ts";
import { type BrowserKind, browserEnvironment, type Driver, findProgram } from "./driver.ts";
import { temporaryFolder } from "./temporary.ts";

const executablePath = findProgram("firefox-esr", "firefox");

/** Debian's Firefox, by Puppeteer (WebDriver BiDi): headless, where it has no WebGL without a GPU. */
export const firefox = kind(false);
/** The same on a display and with WebGL by Mesa's software driver. */
export const firefoxWithWebGl = kind(true);

function kind(webgl: boolean): BrowserKind {
  return {
    missing: executablePath ? (webgl ? noDisplay : undefined) : "no firefox-esr is installed",
    start: () => start(webgl),
  };
}

async function launchFirefox(home: string, options: LaunchOptions = {}): Promise<Browser> {
  const browser = await launch({
    browser: "firefox",
    executablePath,
    headless: true,
    args: ["--remote-allow-system-access"],
    env: browserEnvironment(home),
    protocolTimeout: 300_000,
    defaultViewport: { width: 1200, height: 860 },
    ...options,
  });
  await leaveWorkersAlone(browser).catch((error) => console.log(`Firefox goes on watching workers: ${error}`));
  return browser;
}

/**
 * A driven Firefox watches all workers by what its debugger uses. With that (153, any page) a worker that starts workers
 * stands still for good in one load of 10 to 50; without it, or without a driver, it never did in 600. But it lets
 * no worker go any more, so that a driven Firefox is at its end after 512. Other versions may have
 * no such watch: they are driven as they are.
 */
async function leaveWorkersAlone(browser: Browser): Promise<void> {
  const { connection } = browser as unknown as {
    connection: { send(method: string, params: object): Promise<{ result: Record<string, unknown> }> };
  };
  const { result } = await connection.send("browsingContext.getTree", { "moz:scope": "chrome" });
  const [{ context }] = result.contexts as { context: string }[];
  const watcher = "chrome://remote/content/shared/js-process-actors/WebDriverWorkerListenerActor.sys.mjs";
  const expression = `ChromeUtils.importESModule("${watcher}").unregisterWebDriverWorkerListenerActor()`;
  const done = await connection.send("script.evaluate", { target: { context }, awaitPromise: false, expression });
  if (done.result.type !== "success") throw new Error(JSON.stringify(done.result));
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

async function start(webgl: boolean): Promise<Driver> {
  const home = temporaryFolder("firefox");
  const display = webgl ? await startDisplay() : undefined;
  const onDisplay = display && {
    headless: false,
    env: { ...browserEnvironment(home.path), DISPLAY: display.name, LIBGL_ALWAYS_SOFTWARE: "1" },
    extraPrefsFirefox: { "webgl.force-enabled": true },
  };
  const browser = await launchFirefox(home.path, onDisplay);
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
      await display?.[Symbol.asyncDispose]();
      await home.remove();
    },
  };
}
