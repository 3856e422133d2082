// `siglip/static` in the background of an unpacked extension. The Chromium of npm loads none: this wants Debian's.
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BrowserContext, chromium, type Worker } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { tallied } from "../harness/cases.ts";
import { demo, expectDemo, expectKept, workerScripts } from "./static.ts";

const binary = "/usr/lib/chromium/chromium";
const skip = existsSync(binary) ? undefined : "Debian's chromium is not installed";

const manifest = {
  manifest_version: 3,
  name: "siglip",
  version: "1",
  background: { service_worker: "worker.js", type: "module" },
  content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'" },
};

const folder = mkdtempSync(join(tmpdir(), "siglip-extension-"));
let context: BrowserContext;

/** Writes an extension with the demo model among its files, starts it and resolves with its background. */
async function start(name: string, manifest: object): Promise<Worker> {
  await context?.close();
  const extension = join(folder, name);
  cpSync(fileURLToPath(demo), join(extension, "demo"), { recursive: true });
  for (const [name, script] of await workerScripts()) writeFileSync(join(extension, name), script);
  writeFileSync(join(extension, "manifest.json"), JSON.stringify(manifest));
  context = await chromium.launchPersistentContext(join(folder, `${name}-profile`), {
    executablePath: binary,
    // Playwright's own headless is of the shell, which knows no extensions.
    headless: false,
    args: ["--headless=new", "--no-sandbox", `--load-extension=${extension}`],
    ignoreDefaultArgs: ["--disable-extensions"],
  });
  return context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
}

describe("siglip/static in an extension's background", () => {
  let worker: Worker;
  beforeAll(async () => {
    if (!skip) worker = await start("extension", manifest);
  });
  afterAll(async () => {
    await context?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const wasm = { backend: "wasm", precision: "f32", skip };
  tallied("gives the demo's golden logits from the extension's own files", wasm, async () => {
    await expectDemo(worker, "./demo");
    await expectDemo(worker, new URL("demo", worker.url()).href);
  });

  tallied("keeps a model of a server for the next load", { ...wasm, precision: "q4" }, async () => expectKept(worker));

  tallied("says what the manifest lacks, and runs on the cpu all the same", { ...wasm, backend: "cpu" }, async () => {
    const strict = await start("strict", { ...manifest, content_security_policy: undefined });
    const [failure, backend] = await strict.evaluate(async () => {
      const failure = await siglip.Siglip.load("./demo").catch((error) => String(error));
      const model = await siglip.Siglip.load("./demo", { backend: "cpu" });
      return [String(failure), model.device.backend];
    });
    expect(failure).toMatch(/^SiglipError: .*wanted .*, found .*wasm-unsafe-eval.*backend "cpu"\.$/);
    expect(backend).toBe("cpu");
  });
});
