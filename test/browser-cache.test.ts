import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished } from "vitest";
import { readHeader } from "../src/checkpoint/safetensors.ts";
import { parseConfig } from "../src/config.ts";
import type { CachedModel, LoadOptions } from "../src/index.ts";
import { inChromium, type Setup, setUp } from "./browser/setup.ts";
import { serveHub } from "./hub.ts";
import { serveFiles } from "./server.ts";
import { syntheticShapes, syntheticSource } from "./synthetic.ts";

const demo = new URL("../weights/demo/", import.meta.url);
const file = (name: string) => readFileSync(new URL(name, demo));

/** A model of one layer a tower, of widths that need no padding and more words than are kept in one file. */
async function make(width: number) {
  const tower = { hidden_size: width, intermediate_size: 2 * width, num_hidden_layers: 1, num_attention_heads: 2 };
  const json = {
    model_type: "siglip",
    text_config: { ...tower, vocab_size: 1400, max_position_embeddings: 16 },
    vision_config: { ...tower, image_size: 28, patch_size: 14 },
  };
  const config = parseConfig(json);
  const source = syntheticSource(config);
  return { json: JSON.stringify(json), config, source, weights: await source.read(0, source.size) };
}
const spiece = new Uint8Array(file("spiece.model"));
const narrow = await make(64);
const serve = ({ json, weights } = narrow) =>
  serveFiles({ "m/config.json": json, "m/spiece.model": spiece, "m/model.safetensors": weights });

const picture = file("examples/two-cats.png").toString("base64");
const words = ["a photo of two cats", "a plane in the sky"];

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts", "worker.ts"], { demo });
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

/** Pages that share their storage for the time of a test. */
async function visitor(): Promise<(before?: () => void) => Promise<Page>> {
  const context = await chromium.openContext();
  onTestFinished(() => context.close());
  return (before) => chromium.openPage(before, context);
}

interface Visit {
  readonly images: readonly number[];
  readonly texts: readonly number[];
  readonly warnings: readonly string[];
  /** Milliseconds that the load took. */
  readonly loading: number;
}

interface VisitOptions extends LoadOptions {
  readonly words?: readonly string[];
  /** Waits until that many models are complete in the cache. */
  readonly complete?: number;
}

/** Loads the model in a page and embeds the picture and texts. */
function visit(page: Page, url: string, options: VisitOptions = {}): Promise<Visit> {
  return page.evaluate(
    async ([url, { words = [], complete = 0, ...options }, picture]) => {
      const warnings: string[] = [];
      const began = performance.now();
      const onWarning = (message: string) => void warnings.push(message);
      const model = await siglip.Siglip.load(url, { backend: "cpu", ...options, onWarning });
      const loading = performance.now() - began;
      const images = await model.embedImages([new Blob([await siglip.fetchBytes(`data:image/png;base64,${picture}`)])]);
      const texts = words.length > 0 ? [...(await model.embedTexts(words)).data] : [];
      while ((await siglip.listCached()).filter((one) => one.complete).length < complete) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      model.dispose();
      return { images: [...images.data], texts, warnings, loading };
    },
    [url, options, picture] as const,
  );
}

/** Embeddings to the bit, and nothing odd but that the folder has no preprocessor_config.json. */
function expectSame(found: Visit, first: Visit): void {
  expect(found.images).toEqual(first.images);
  expect(found.texts).toEqual(first.texts);
  expect(odd(found)).toEqual([]);
}

const odd = ({ warnings }: Visit) => warnings.filter((message) => !message.includes("preprocessor_config.json"));
const list = (page: Page): Promise<CachedModel[]> => page.evaluate(() => siglip.listCached());
const oneSentence = /^[^;]*wanted [^;]*, found [^;]*; [^;]*\.$/;

/** The names of the files in the only folder of the cache that are not empty. */
function kept(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const names: string[] = [];
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-weights-1");
    for await (const folder of root.values()) {
      for await (const handle of (folder as FileSystemDirectoryHandle).values()) {
        if ((await (handle as FileSystemFileHandle).getFile()).size > 0) names.push(handle.name);
      }
    }
    return names;
  });
}

/** Inverts one byte of a file there. */
function damage(page: Page, file: string): Promise<void> {
  return page.evaluate(async (file) => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-weights-1");
    for await (const folder of root.values()) {
      const handle = await (folder as FileSystemDirectoryHandle).getFileHandle(file);
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
      bytes[bytes.length >> 1] ^= 0x10;
      const writable = await handle.createWritable();
      await writable.write(bytes);
      await writable.close();
    }
  }, file);
}

describe("the browser's cache", () => {
  /** Bytes of a weight of a matrix; the table and the patch embedding have two at least. */
  const sizes = { f32: 4, f16: 2, q8: 34 / 32, q4: 18 / 32 };
  for (const [dtype, backend] of [
    ["q4", "cpu"],
    ["f16", "webgpu"],
  ] as const) {
    inChromium(`serves the second visit without the network, ${dtype} on ${backend}`, backend, async ({ task }) => {
      if (backend === "webgpu") task.meta.siglip!.adapter = chromium.label;
      const open = await visitor();
      const server = await serve();
      const url = `${server.url}m/`;
      const options = { dtype, backend, words, complete: 1 };
      const first = await visit(await open(), url, options);
      expect(odd(first)).toEqual([]);
      const served = server.requests.length;
      const second = await visit(await open(), url, options);
      expectSame(second, first);
      // Whether the server has another version by now was looked up, which is headers and config.json.
      expect(server.requests.slice(served).filter(({ path }) => path.endsWith("spiece.model"))).toEqual([]);
      await server[Symbol.asyncDispose]();

      const page = await open();
      expectSame(await visit(page, url, options), first);
      // Any words, not only those of the first visit.
      expect((await visit(page, url, { ...options, words: ["three birds and a television"] })).texts.length).toBe(64);
      const [model] = await list(page);
      expect(model).toMatchObject({ model: url, dtype, towers: ["image", "text"], complete: true });
      const shapes = [...syntheticShapes(narrow.config)];
      const expected = shapes.reduce((sum, [name, shape]) => {
        const exact = shape.length === 1 || /position_embedding|probe/.test(name);
        const half = /token_embedding|patch_embedding/.test(name);
        return sum + shape.reduce((a, b) => a * b) * (exact ? 4 : half ? Math.max(2, sizes[dtype]) : sizes[dtype]);
      }, 0);
      const small = narrow.json.length + spiece.length;
      // A digest a file, the names and shapes of all tensors, and the lists of files.
      const around = small + 200 * (await kept(page)).length + 2000;
      expect(model.bytes).toBeGreaterThan(expected + small);
      expect(model.bytes).toBeLessThan(expected + around);
      console.log(
        `${dtype}: ${model.bytes} bytes kept of ${narrow.weights.length + small}; load ${first.loading.toFixed()} ms, then ${second.loading.toFixed()} ms`,
      );
    });
  }

  inChromium("goes on where a visit was cut short", "cpu", async () => {
    const open = await visitor();
    const wide = await make(256);
    await using server = await serve(wide);
    const url = `${server.url}m/`;
    server.misbehave("model.safetensors", { slow: 60 });
    const page = await open();
    visit(page, url, { dtype: "f16" }).catch(() => {});
    const pieces = async () => (await kept(page).catch(() => [])).filter((name) => name.includes("_model."));
    while ((await pieces()).length < 8) await new Promise((resolve) => setTimeout(resolve, 20));
    await page.close();
    server.behave();

    const again = await open();
    const had = new Set(await kept(again));
    const [cut] = await list(again);
    expect(cut).toMatchObject({ model: url, dtype: "f16", complete: false });
    const before = server.requests.length;
    const resumed = await visit(again, url, { dtype: "f16", words, complete: 1 });
    expect(odd(resumed)).toEqual([]);
    // What comes with the header, and less than that between two ranges, is fetched along.
    const { tensors } = await readHeader(wide.source);
    const finished = [...tensors.values()].filter(
      ({ name, begin, end }) => had.has(`${name}.0`) && begin >= 2 ** 16 && end - begin > 2 ** 16,
    );
    expect(finished.length).toBeGreaterThan(0);
    for (const { begin, end } of finished) {
      for (const { headers } of server.requests.slice(before)) {
        const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? [];
        expect(Number(first) < end && Number(last) >= begin && Number(first) > 0).toBe(false);
      }
    }
    expectSame(await visit(again, url, { dtype: "f16", words }), resumed);
  });

  const rounds = process.env.SIGLIP_LONG ? 200 : 8;
  inChromium(`is never damaged by pages that end at any moment, ${rounds} of them`, "cpu", async () => {
    const open = await visitor();
    await using server = await serve();
    const url = `${server.url}m/`;
    let state = 1;
    for (let round = 0; round < rounds; round++) {
      const page = await open();
      visit(page, url, { dtype: "q4", words }).catch(() => {});
      state = (state * 48271) % 0x7fffffff;
      await new Promise((resolve) => setTimeout(resolve, state % 400));
      await page.close();
    }
    const page = await open();
    const found = await visit(page, url, { dtype: "q4", words, complete: 1 });
    expectSame(await visit(page, url, { dtype: "q4", words, complete: 1 }), found);
    await page.evaluate(() => siglip.deleteCached());
    expectSame(await visit(page, url, { dtype: "q4", words, complete: 1 }), found);
  });

  inChromium("notices damage, and repairs it as soon as the network is there", "cpu", async () => {
    const open = await visitor();
    const server = await serve();
    const url = `${server.url}m/`;
    const page = await open();
    const first = await visit(page, url, { dtype: "q8", words, complete: 1 });
    const tensor = "vision_model.encoder.layers.0.mlp.fc1.weight";
    await damage(page, `${tensor}.0`);
    const repaired = await visit(page, url, { dtype: "q8", words, complete: 1 });
    expect(repaired).toMatchObject({ images: first.images, texts: first.texts });
    expect(odd(repaired)).toEqual([expect.stringMatching(oneSentence)]);
    expect(odd(repaired)[0]).toContain(tensor);
    expectSame(await visit(page, url, { dtype: "q8", words }), first);

    await damage(page, `${tensor}.0`);
    await server[Symbol.asyncDispose]();
    const offline = page.evaluate(
      (url) => siglip.failure(siglip.Siglip.load(url, { backend: "cpu", dtype: "q8", onWarning: () => {} })),
      url,
    );
    expect(await offline).toMatch(/^SiglipError: .*wanted .*, found .*; .*\.$/);
  });

  const unwilling: Record<string, [() => void, RegExp]> = {
    "private files": [
      () => {
        delete (StorageManager.prototype as Partial<StorageManager>).getDirectory;
      },
      /without private files/,
    ],
    "leave to use private files": [
      () => {
        StorageManager.prototype.getDirectory = async () => {
          throw new DOMException("Security error when calling GetDirectory", "SecurityError");
        };
      },
      /GetDirectory/,
    ],
    room: [
      () => {
        StorageManager.prototype.estimate = async () => ({ quota: 100_000, usage: 50_000 });
      },
      /room for 50000 bytes where \d+ are needed/,
    ],
    "room for all of it": [
      () => {
        const make = FileSystemFileHandle.prototype.createWritable;
        let count = 0;
        FileSystemFileHandle.prototype.createWritable = async function () {
          if (count++ > 12) throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
          return make.call(this);
        };
      },
      /takes no more/,
    ],
  };
  for (const [how, [before, warning]] of Object.entries(unwilling)) {
    inChromium(`is done without where there is no ${how}, as a warning says`, "cpu", async () => {
      const open = await visitor();
      await using server = await serve();
      const found = await visit(await open(before), `${server.url}m/`, { dtype: "f16", words });
      expect(odd(found)).toEqual([expect.stringMatching(oneSentence)]);
      expect(odd(found)[0]).toMatch(warning);
      const plain = await open();
      expectSame(await visit(plain, `${server.url}m/`, { dtype: "f16", words, cache: false }), {
        ...found,
        warnings: [],
      });
      expect((await list(plain)).filter(({ complete }) => complete)).toEqual([]);
    });
  }

  inChromium("serves two pages at once, and a worker", "cpu", async () => {
    const open = await visitor();
    const server = await serve();
    const url = `${server.url}m/`;
    server.misbehave("model.safetensors", { slow: 20 });
    const pages = [await open(), await open()];
    const [one, other] = await Promise.all(pages.map((page) => visit(page, url, { dtype: "f16", words, complete: 1 })));
    expectSame(other, one);
    await server[Symbol.asyncDispose]();
    expectSame(await visit(pages[0], url, { dtype: "f16", words }), one);
    const found = await pages[0].evaluate(
      async ([model, picture, texts]) => {
        const worker = new Worker("/worker.js", { type: "module" });
        const image = await siglip.fetchBytes(`data:image/png;base64,${picture}`);
        const options = { backend: "cpu", dtype: "f16" };
        worker.postMessage({ model, options, image, texts });
        return new Promise((resolve) => {
          worker.onmessage = ({ data }) => resolve(data);
        });
      },
      [url, picture, words] as const,
    );
    expect(found).toMatchObject({ backend: "cpu", logits: [expect.any(Number), expect.any(Number)] });
  });

  inChromium("notices another version on the server, and has it at the next load", "cpu", async () => {
    const open = await visitor();
    await using server = await serve();
    const url = `${server.url}m/`;
    const page = await open();
    const options = { dtype: "f16", towers: ["image"], complete: 1 } as const;
    const first = await visit(page, url, options);
    const changed = new Uint8Array(narrow.weights);
    // The sign of a float32 in every tensor's tail.
    for (let at = changed.length - 1; at > 2 ** 16; at -= 4096) changed[at] ^= 0x80;
    server.files.set("m/model.safetensors", { content: changed });
    const second = await visit(page, url, { ...options, complete: 0 });
    expect(second.images).toEqual(first.images);
    while ((await list(page)).some(({ complete }) => complete)) await new Promise((r) => setTimeout(r, 20));
    const third = await visit(page, url, options);
    expect(third.images).not.toEqual(first.images);
    expect((await list(page)).length).toBe(1);
    const direct = await visit(page, url, { ...options, complete: 0, cache: false });
    expectSame(third, direct);
  });

  inChromium("keeps a Hub's model by its commit", "cpu", async () => {
    const open = await visitor();
    const hub = await serveHub();
    const files = { "config.json": narrow.json, "spiece.model": spiece, "model.safetensors": narrow.weights };
    const commit = hub.publish("org/name", files);
    const page = await open();
    const options = { dtype: "f16", words, complete: 1, endpoint: hub.endpoint } as const;
    const first = await visit(page, "org/name", options);
    expect(await list(page)).toMatchObject([{ model: `${hub.endpoint}/org/name`, version: commit, complete: true }]);
    const next = hub.publish("org/name", { ...files, "config.json": `${narrow.json} ` });
    expectSame(await visit(page, "org/name", { ...options, complete: 0 }), first);
    while ((await list(page)).some(({ complete }) => complete)) await new Promise((r) => setTimeout(r, 20));
    expectSame(await visit(page, "org/name", options), first);
    expect(await list(page)).toMatchObject([{ version: next, complete: true }]);
    await hub[Symbol.asyncDispose]();
    expectSame(await visit(page, "org/name", options), first);
  });

  inChromium("takes a large file from a server without ranges by way of a temporary one", "cpu", async () => {
    const open = await visitor();
    const wide = await make(400);
    expect(wide.weights.length).toBeGreaterThan(2 ** 24);
    const server = await serve(wide);
    const url = `${server.url}m/`;
    const page = await open();
    const options = { dtype: "q4", words } as const;
    const first = await visit(page, url, { ...options, cache: false });
    server.misbehave("model.safetensors", { ranges: false });
    const spooled = () =>
      page.evaluate(async () => {
        const names: string[] = [];
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-spool", {
          create: true,
        });
        for await (const name of root.keys()) names.push(name);
        return names;
      });
    // What a page left behind that ended early.
    await page.evaluate(async () => {
      const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-spool", { create: true });
      await root.getFileHandle("forgotten", { create: true });
    });
    const plain = await visit(page, url, { ...options, cache: false });
    expectSame(plain, { ...first, warnings: [] });
    while ((await spooled()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    const cached = await visit(page, url, { ...options, complete: 1 });
    while ((await spooled()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    const served = server.requests.length;
    expectSame(await visit(page, url, { ...options, complete: 1 }), cached);
    expect(server.requests.length).toBe(served);
    await server[Symbol.asyncDispose]();
  });

  inChromium("lists and deletes what it holds", "cpu", async () => {
    const open = await visitor();
    await using server = await serve();
    const page = await open();
    expect(await list(page)).toEqual([]);
    const url = `${server.url}m/`;
    await visit(page, url, { dtype: "q4", towers: ["image"], complete: 1 });
    await visit(page, url, { dtype: "f16", words, complete: 2 });
    const models = await list(page);
    expect(models.map(({ dtype, towers, complete }) => [dtype, towers, complete]).sort()).toEqual([
      ["f16", ["image", "text"], true],
      ["q4", ["image"], true],
    ]);
    await page.evaluate((model) => siglip.deleteCached(model), models.find(({ dtype }) => dtype === "q4")!);
    expect((await list(page)).map(({ dtype }) => dtype)).toEqual(["f16"]);
    await page.evaluate(() => siglip.deleteCached("another"));
    expect((await list(page)).length).toBe(1);
    await page.evaluate((url) => siglip.deleteCached(url), url);
    expect(await list(page)).toEqual([]);
  });
});
