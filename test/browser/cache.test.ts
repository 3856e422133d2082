import { afterAll, beforeAll, describe, expect } from "vitest";
import { readHeader } from "../../src/checkpoint/safetensors.ts";
import { syntheticShapes } from "../judge/synthetic.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";
import {
  damage,
  expectSame,
  kept,
  list,
  make,
  narrow,
  odd,
  oneSentence,
  picture,
  serve,
  spiece,
  visit,
  visitor,
  words,
} from "./visit.ts";

declare global {
  /** In the page: lets it write. */
  var releaseWrites: () => void;
}

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts", "worker.ts"], {});
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

describe("the browser's cache", () => {
  /** Bytes of a weight of a matrix; the table and the patch embedding have two at least. */
  const sizes = { f32: 4, f16: 2, q8: 34 / 32, q4: 18 / 32 };
  for (const [dtype, backend] of [
    ["q4", "cpu"],
    ["f16", "webgpu"],
  ] as const) {
    inChromium(`serves the second visit without the network, ${dtype} on ${backend}`, backend, async ({ task }) => {
      if (backend === "webgpu") task.meta.siglip!.adapter = chromium.label;
      const open = await visitor(chromium);
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
    const open = await visitor(chromium);
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
    const open = await visitor(chromium);
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
    const open = await visitor(chromium);
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

  inChromium("is not waited for by a load: a browser may take long to write", "cpu", async () => {
    const open = await visitor(chromium);
    await using server = await serve();
    const page = await open(() => {
      const held = new Promise<void>((resolve) => {
        globalThis.releaseWrites = resolve;
      });
      const { createWritable } = FileSystemFileHandle.prototype;
      FileSystemFileHandle.prototype.createWritable = async function (this: FileSystemFileHandle, ...rest) {
        // Pieces of tensors; what says which model a folder holds comes before the load.
        if (/\.\d+$/.test(this.name)) await held;
        return createWritable.apply(this, rest);
      };
    });
    const url = `${server.url}m/`;
    const first = await visit(page, url, { dtype: "q8", words });
    expect(odd(first)).toEqual([]);
    expect((await kept(page)).filter((name) => name.includes("_model."))).toEqual([]);
    await page.evaluate(() => globalThis.releaseWrites());
    await page.waitForFunction(async () => (await siglip.listCached())[0]?.complete);
    expectSame(await visit(page, url, { dtype: "q8", words }), first);
  });

  inChromium("serves two pages at once, and a worker", "cpu", async () => {
    const open = await visitor(chromium);
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
});
