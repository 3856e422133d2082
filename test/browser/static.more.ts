// `siglip/static` in the background of an unpacked extension.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { tallied } from "../harness/cases.ts";
import { firefox, startWithExtension } from "./drivers/firefox.ts";
import { type Extension, noExtensions, startExtension } from "./extension.ts";
import { serve } from "./site.ts";
import { demo, expectDemo, expectKept, expectLogits, file, labels, workerScripts } from "./static.ts";

const manifest = {
  manifest_version: 3,
  name: "siglip",
  version: "1",
  background: { service_worker: "worker.js", type: "module" },
  content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'" },
};

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "siglip-extension-"));
  cpSync(fileURLToPath(demo), join(folder, "demo"), { recursive: true });
  for (const [name, script] of await workerScripts()) writeFileSync(join(folder, name), script);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts the extension, which has the demo model among its files. */
function start(manifest: object): Promise<Extension> {
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  return startExtension(folder);
}

/** Firefox's background is a page, which a test cannot reach: it sends what it finds. */
function background(report: string): string {
  return `import { Siglip } from "./static.js";
const { origin } = location;
try {
  const model = await Siglip.load("./demo", { dtype: "f32" });
  const images = await model.embedImages(["./demo/examples/${file}"]);
  const { logits } = model.similarity(images, await model.embedTexts(${JSON.stringify(labels)}));
  await send({ origin, backend: model.device.backend, logits: [...logits] });
} catch (error) {
  await send({ origin, error: String(error) });
}
function send(found) {
  return fetch("${report}", { method: "POST", mode: "no-cors", body: JSON.stringify(found) });
}
`;
}

const wasm = { backend: "wasm", precision: "f32", skip: noExtensions };
describe("siglip/static in an extension's background", () => {
  tallied("gives the demo's golden logits from the extension's own files", wasm, async () => {
    await using extension = await start(manifest);
    await expectDemo(extension.worker, "./demo");
    await expectDemo(extension.worker, new URL("demo", extension.worker.url()).href);
  });

  tallied("keeps a model of a server for the next load", { ...wasm, precision: "q4" }, async () => {
    await using extension = await start(manifest);
    await expectKept(extension.worker);
  });

  tallied("says what the manifest lacks, and runs on the cpu all the same", { ...wasm, backend: "cpu" }, async () => {
    await using extension = await start({ ...manifest, content_security_policy: undefined });
    const [failure, backend] = await extension.worker.evaluate(async () => {
      const failure = await siglip.Siglip.load("./demo").catch((error) => String(error));
      const model = await siglip.Siglip.load("./demo", { backend: "cpu" });
      return [String(failure), model.device.backend];
    });
    expect(failure).toMatch(/^SiglipError: .*wanted .*, found .*wasm-unsafe-eval.*backend "cpu"\.$/);
    expect(backend).toBe("cpu");
  });

  const inFirefox = { backend: "wasm", precision: "f32", skip: firefox.missing };
  tallied("gives them in Firefox, too, which ignores ranges there", inFirefox, async () => {
    let told = (_: string) => {};
    const report = new Promise<string>((resolve) => {
      told = resolve;
    });
    await using site = await serve(async (request, response) => {
      told(await text(request));
      response.end();
    });
    writeFileSync(join(folder, "background.js"), background(site.url));
    const scripts = { scripts: ["background.js"], type: "module" };
    const id = { gecko: { id: "siglip@example.org" } };
    const anew = { ...manifest, background: scripts, browser_specific_settings: id };
    writeFileSync(join(folder, "manifest.json"), JSON.stringify(anew));
    await using _ = await startWithExtension(folder);
    const found = JSON.parse(await report);
    expect(found).toMatchObject({ origin: expect.stringMatching(/^moz-extension:/), backend: "wasm" });
    expectLogits(found.logits);
  });
});
