import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Worker } from "playwright-core";

/** Debian's Chromium: the one of npm is a headless shell, which loads no extensions. */
const binary = "/usr/lib/chromium/chromium";

/** Why extensions cannot be tried here; undefined where they can. */
export const noExtensions = existsSync(binary) ? undefined : "Debian's package chromium is not installed";

/** An unpacked extension in a browser of its own. */
export interface Extension extends AsyncDisposable {
  /** Its background. */
  readonly worker: Worker;
}

/** Starts the extension of a folder. */
export async function startExtension(folder: string): Promise<Extension> {
  const profile = mkdtempSync(join(tmpdir(), "siglip-profile-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: binary,
    // Playwright's own headless is the shell's.
    headless: false,
    args: ["--headless=new", "--no-sandbox", `--load-extension=${folder}`],
    ignoreDefaultArgs: ["--disable-extensions"],
  });
  return {
    worker: context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker")),
    async [Symbol.asyncDispose]() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
