import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bundle, bundle, chunkOf, demoChunk, loadedWith } from "./bundle.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";

const demo = new URL("../../weights/demo/", import.meta.url);
const { file, labels, logits } = JSON.parse(readFileSync(new URL("examples/examples.json", demo), "utf8")).examples[0];
const picture = `/demo/examples/${file}`;

/** The most for everything that embeds images and texts, in bytes after minification and gzip. */
const SIZE = 52_000;

/** And for what is loaded beside it where there is no GPU. */
const WASM = 20_000;

/** And for the file of a thread. */
const THREAD = 900;

declare global {
  /** In the page: the devices that were made, and the one that does not survive its next submit. */
  var devices: GPUDevice[];
  var doomed: GPUDevice | undefined;
}

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts", "worker.ts"], { demo });
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

/** A bound for the demo's golden logits, from the picture file and the strings on. */
function expectLogits(found: readonly number[]): void {
  expect(found.length).toBe(logits.length);
  for (const [i, logit] of logits.entries()) expect(Math.abs(found[i] - logit)).toBeLessThan(0.01);
}

describe("a page", () => {
  for (const backend of ["webgpu", "cpu"] as const) {
    inChromium(`gives the demo's golden logits on ${backend}`, backend, async ({ task }) => {
      if (backend === "webgpu") task.meta.siglip!.adapter = chromium.label;
      const page = await chromium.openPage();
      const found = await page.evaluate(
        ([backend, image, texts]) => siglip.score("demo", { backend, dtype: "f32" }, image, texts),
        [backend, picture, labels] as const,
      );
      expect(found.backend).toBe(backend);
      expectLogits(found.logits);
    });
  }

  inChromium("gives them in a module worker", "webgpu", async ({ task }) => {
    task.meta.siglip!.adapter = chromium.label;
    const page = await chromium.openPage();
    const found = await page.evaluate(
      async ([image, texts]) => {
        const worker = new Worker("/worker.js", { type: "module" });
        const bytes = await siglip.fetchBytes(image);
        return new Promise<{ logits: number[]; backend: string }>((resolve) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.postMessage({ options: { backend: "webgpu", dtype: "f32" }, image: new Blob([bytes]), texts });
        });
      },
      [picture, labels] as const,
    );
    expect(found).toMatchObject({ backend: "webgpu" });
    expectLogits(found.logits);
  });

  inChromium("keeps the kernel forms that a worker chose, by adapter", "chromium", async () => {
    const context = await chromium.openContext();
    const page = await chromium.openPage(undefined, context);
    await page.evaluate(() =>
      new Worker("/worker.js", { type: "module" }).postMessage({ adapter: "a b/c?#", chosen: ["linear", "direct"] }),
    );
    await page.waitForFunction(async () => (await siglip.keptForms("a b/c?#")).get("linear") === "direct");
    const later = await chromium.openPage(undefined, context);
    await later.evaluate(async () => {
      await (await caches.open("siglip kernel forms")).put("https://kernel-forms.invalid/broken", new Response("{"));
      (await siglip.keptForms("broken")).set("linear", "split");
    });
    await later.waitForFunction(async () => (await siglip.keptForms("broken")).get("linear") === "split");
    const found = await later.evaluate(async () => [
      [...(await siglip.keptForms("a b/c?#"))],
      [...(await siglip.keptForms("another"))],
    ]);
    expect(found).toEqual([[["linear", "direct"]], []]);
    await context.close();
  });

  inChromium("gives them from a URL, without ever loading the demo's module", "cpu", async () => {
    const page = await chromium.openPage();
    const before = chromium.site.requests.length;
    const found = await page.evaluate(([image, texts]) => siglip.score("/demo", { backend: "cpu" }, image, texts), [
      picture,
      labels,
    ] as const);
    expectLogits(found.logits);
    const requests = chromium.site.requests.slice(before);
    expect(requests).toContain("/demo/model.safetensors");
    expect(requests).not.toContain(`/${demoChunk(chromium.bundle)}`);
  });

  inChromium("gives them from files that were chosen", "cpu", async () => {
    const page = await chromium.openPage();
    const found = await page.evaluate(
      async ([image, texts]) => {
        const names = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"];
        const files = names.map(async (name) => new File([await siglip.fetchBytes(`/demo/${name}`)], name));
        return siglip.score(await Promise.all(files), { backend: "cpu" }, image, texts);
      },
      [picture, labels] as const,
    );
    expectLogits(found.logits);
  });

  inChromium(
    "fails the call whose device is lost under it, and gives the next one a new device",
    "webgpu",
    async ({ task }) => {
      task.meta.siglip!.adapter = chromium.label;
      const page = await chromium.openPage(() => {
        const { requestDevice } = GPUAdapter.prototype;
        GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor?: GPUDeviceDescriptor) {
          const device = await requestDevice.call(this, descriptor);
          devices.push(device);
          return device;
        };
        const { submit } = GPUQueue.prototype;
        GPUQueue.prototype.submit = function (this: GPUQueue, commands: Iterable<GPUCommandBuffer>) {
          submit.call(this, commands);
          doomed?.destroy();
          globalThis.doomed = undefined;
        } as typeof submit;
        globalThis.devices = [];
      });
      const found = await page.evaluate(
        async ([image, texts]) => {
          const model = await siglip.Siglip.load("demo", { backend: "webgpu", dtype: "f32" });
          globalThis.doomed = devices[0];
          const failure = await siglip.failure(model.embedTexts(texts));
          const { logits } = model.similarity(await model.embedImages([image]), await model.embedTexts(texts));
          model.dispose();
          return { failure, logits: [...logits], made: devices.length };
        },
        [picture, labels] as const,
      );
      expect(found.failure).toMatch(/^SiglipError: The WebGPU device was wanted but it was lost \(.*\); call again\.$/);
      expect(found.made).toBe(2);
      expectLogits(found.logits);
      await page.close();
    },
  );

  const withoutGpu: [string, () => void][] = [
    [
      "without navigator.gpu",
      () => {
        delete (Navigator.prototype as { gpu?: GPU }).gpu;
      },
    ],
    [
      "without an adapter",
      () => {
        GPU.prototype.requestAdapter = async () => null;
      },
    ],
  ];
  for (const [how, before] of withoutGpu) {
    inChromium(`${how} falls back to wasm, and says so where webgpu was asked for`, "wasm", async () => {
      const page = await chromium.openPage(before);
      const found = await page.evaluate(([image, texts]) => siglip.score("demo", { dtype: "f32" }, image, texts), [
        picture,
        labels,
      ] as const);
      expect(found.backend).toBe("wasm");
      expectLogits(found.logits);
      expect(await page.evaluate(() => siglip.failure(siglip.Siglip.load("demo", { backend: "webgpu" })))).toBe(
        'SiglipError: backend: wanted a WebGPU adapter, found none; use a browser and a page (https) with WebGPU, or load with backend "wasm".',
      );
    });
  }

  inChromium("says what a model may be", "cpu", async () => {
    const page = await chromium.openPage();
    const failures = await page.evaluate(() =>
      Promise.all(
        ["siglip-base-patch16-224", "a/b@..", "", "data:,", "/nothing/", 7, null, [], ["config.json"]].map((model) =>
          siglip.failure(siglip.Siglip.load(model as string)),
        ),
      ),
    );
    for (const found of failures) expect(found).toMatch(/^SiglipError: .*wanted .*, found .*; .*\.$/);
  });
});

/** Bytes of scripts, each gzipped by itself as servers do. */
function total({ scripts }: Bundle, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + gzipSync(scripts.get(name)!, { level: 9 }).length, 0);
}

describe("the browser's bundle", () => {
  let small: Bundle;
  let names: string[];
  beforeAll(async () => {
    small = await bundle(["embedder.ts"], true);
    names = loadedWith(small, "embedder.js");
  });

  it(`embeds images and texts in at most ${SIZE} bytes gzipped, the demo model apart`, () => {
    expect(names).not.toContain(demoChunk(small));
    const gzipped = total(small, names);
    console.log(`browser bundle: ${gzipped} bytes gzipped, in ${names.length} scripts`);
    // What is loaded on demand, for models on servers and for devices that have more than WebGPU's least.
    for (const name of small.scripts.keys()) {
      if (!names.includes(name) && name !== demoChunk(small))
        console.log(`  on demand: ${name} ${total(small, [name])}`);
    }
    expect(gzipped).toBeLessThanOrEqual(SIZE);
  });

  it(`runs in WebAssembly with at most ${WASM} bytes more, threads and the packing of weights with them`, () => {
    const entries = ["tensor/wasm/open.ts", "browser/threads.ts"].map((path) => chunkOf(small, path));
    const more = new Set(entries.flatMap((entry) => loadedWith(small, entry)).filter((name) => !names.includes(name)));
    const gzipped = total(small, [...more]);
    console.log(`browser bundle: ${gzipped} bytes gzipped for WebAssembly`);
    expect(gzipped).toBeLessThanOrEqual(WASM);
  });

  // Not counted above, where it stands as text for bundlers that leave the file behind: who has the file has it twice.
  it(`has threads whose file, where a bundler emits it, takes at most ${THREAD} bytes`, async () => {
    const { scripts } = await bundle(["../../src/browser/thread.ts"], true);
    const gzipped = gzipSync(scripts.get("thread.js")!, { level: 9 }).length;
    console.log(`browser bundle: ${gzipped} bytes gzipped for a thread's file`);
    expect(gzipped).toBeLessThanOrEqual(THREAD);
  });
});
