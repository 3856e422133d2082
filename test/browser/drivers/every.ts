import { afterAll, describe } from "vitest";
import { tallied } from "../../harness/cases.ts";
import { chromium } from "./chromium.ts";
import type { BrowserKind, DrivenPage, Driver } from "./driver.ts";
import { firefox } from "./firefox.ts";
import { webkit } from "./webkit.ts";

/** Every browser that is driven where it is installed. */
const BROWSERS: Readonly<Record<string, BrowserKind>> = {
  chromium,
  firefox,
  webkit,
};

/** One browser for the cases of a file. */
export interface EveryBrowser {
  readonly name: string;
  /** Declares a case, which is skipped with the reason where there is no such browser. */
  test(name: string, precision: string, body: () => Promise<void>): void;
  /** A page of this browser; all share their storage. */
  openPage(): Promise<DrivenPage>;
}

/** Declares cases for every browser, and `others`; each starts when its first case wants a page, and ends with them. */
export function inEveryBrowser(
  declare: (browser: EveryBrowser) => void,
  others: Readonly<Record<string, BrowserKind>> = {},
): void {
  for (const [name, kind] of Object.entries({ ...BROWSERS, ...others })) {
    describe(name, () => {
      let started: Promise<Driver> | undefined;
      declare({
        name,
        test: (title, precision, body) => tallied(title, { backend: name, precision, skip: kind.missing }, body),
        async openPage() {
          started ??= kind.start();
          const driver = await started;
          return driver.openPage();
        },
      });
      afterAll(async () => {
        const driver = await started?.catch(() => undefined);
        if (driver) console.log(`driven: ${driver.version}`);
        await driver?.[Symbol.asyncDispose]();
      });
    });
  }
}

/** Goes to an empty page of a site and loads scripts of it there, each of which sets a global. */
export async function loadScripts(
  page: DrivenPage,
  url: string,
  scripts: Readonly<Record<string, string>>,
): Promise<void> {
  await page.goto(url);
  for (const [script, sets] of Object.entries(scripts)) {
    await page.evaluate(
      ([src, sets]) =>
        new Promise<void>((resolve, reject) => {
          const element = Object.assign(document.createElement("script"), { src, type: "module" });
          element.onload = () => (sets in globalThis ? resolve() : reject(new Error(`${src} sets no ${sets}`)));
          element.onerror = () => reject(new Error(`${src} does not load`));
          document.head.append(element);
        }),
      [script, sets] as const,
    );
  }
}
