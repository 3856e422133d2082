import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A page in a browser that a test drives: what all drivers can do, no more. Selectors are CSS; whatever fails rejects. */
export interface DrivenPage {
  /** Goes to an address and waits until the document is loaded. */
  goto(url: string): Promise<void>;
  /** Runs a function in the page, which sees its argument alone; both that and what it gives are JSON. */
  evaluate<R, A = undefined>(body: (argument: A) => R | Promise<R>, argument?: A): Promise<R>;
  /** Clicks as a user does, in the middle of the element. */
  click(selector: string): Promise<void>;
  /** Replaces what a text field holds, by the keyboard. */
  fill(selector: string, text: string): Promise<void>;
  /** Writes a PNG of what is seen. */
  screenshot(path: string): Promise<void>;
  close(): Promise<void>;
}

/** A browser that runs. Its disposal ends it. */
export interface Driver extends AsyncDisposable {
  /** Name and version, as the browser tells them. */
  readonly version: string;
  /** A window without a page, in a profile that has seen nothing but what this driver's other pages kept. */
  openPage(): Promise<DrivenPage>;
}

/** A kind of browser: `missing` is why it cannot be driven here. */
export interface BrowserKind {
  readonly missing: string | undefined;
  start(): Promise<Driver>;
}

/** The first of these programs that the PATH has. */
export function findProgram(...names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/** The environment for a browser: without the tests' own Vulkan driver, and with a home in which it may write. */
export function browserEnvironment(home: string): Record<string, string> {
  const {
    LD_LIBRARY_PATH: _,
    VK_ICD_FILENAMES: __,
    VK_DRIVER_FILES: ___,
    ...env
  } = process.env as Record<string, string>;
  return { ...env, HOME: home, XDG_CACHE_HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home };
}

/** Waits until a function in the page gives something true, and gives that; two minutes at most. */
export async function until<R, A = undefined>(
  page: DrivenPage,
  body: (argument: A) => R | Promise<R>,
  argument?: A,
): Promise<R> {
  const end = performance.now() + 120_000;
  for (;;) {
    const found = await page.evaluate(body, argument);
    if (found) return found;
    if (performance.now() > end) {
      const shown = await page.evaluate(() => document.body.innerText.slice(0, 1000));
      throw new Error(`Wanted ${body} to be true within two minutes, found ${found} in a page that shows: ${shown}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
