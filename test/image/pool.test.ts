import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Recipe } from "../../src/image/patches.ts";
import { toPatches } from "../../src/image/patches.ts";
import type { Pixels } from "../../src/image/pixels.ts";
import { IMAGES, rgbPng, synthetic } from "../harness/pictures.ts";

const jpeg = readFileSync(`${IMAGES}/q85-420.jpg`);
const MOST = Math.min(4, availableParallelism());
const recipe: Recipe = {
  processing: { size: [28, 42], resample: "bicubic", rescale: 1 / 255, mean: [0.5, 0.4, 0.3], std: [0.5, 0.5, 0.6] },
  patch: 14,
  stride: 592,
};

/** The decoders as a program finds them that has just started, and the threads that they start. */
let images: typeof import("../../src/node/images/decode.ts");
let workers: Worker[];
beforeEach(async () => {
  workers = [];
  vi.resetModules();
  vi.doMock("node:worker_threads", async (original) => {
    const threads = await original<typeof import("node:worker_threads")>();
    class Told extends threads.Worker {
      constructor(...rest: ConstructorParameters<typeof Worker>) {
        super(...rest);
        workers.push(this);
      }
    }
    return { ...threads, Worker: Told };
  });
  images = await import("../../src/node/images/decode.ts");
  vi.doUnmock("node:worker_threads");
});
afterEach(async () => {
  for (const worker of workers) await worker.terminate();
});

const many = <T>(count: number, work: () => Promise<T>) => Promise.all(Array.from({ length: count }, work));

describe("threads that decode", () => {
  it("are as many as the work asks for, and at most four or the cores", async () => {
    await many(4, () => images.decode(jpeg));
    expect(workers).toHaveLength(1);
    await many(40, () => images.decode(jpeg));
    expect(workers).toHaveLength(MOST);
  });

  it("give the patches that the caller's thread makes, of files and of pixels", async () => {
    const photo = await images.decode(jpeg);
    const wanted = await toPatches(photo, recipe);
    const found = await many(6, () => images.prepare(jpeg, undefined, recipe, {}));
    found.push(...(await many(6, () => images.preparePixels(photo, recipe))));
    for (const one of found) expect(one).toEqual(wanted);
    // What was passed is the caller's.
    expect(photo.data.length).toBe(3 * photo.width * photo.height);
    const processing = { ...recipe.processing, maxPatches: 12 };
    const flexible = { ...recipe, processing };
    expect(await images.prepare(jpeg, undefined, flexible, {})).toEqual(await toPatches(photo, flexible));
    expect((await toPatches(photo, flexible)).grids).toEqual([[3, 4]]);
    const own = { decode: () => photo };
    expect(await images.prepare(jpeg, undefined, recipe, own)).toEqual(wanted);
  });

  it("are not started for a few PNGs, nor for pixels", async () => {
    const picture: Pixels = synthetic(40, 30);
    const png = rgbPng(picture);
    const found = await many(3, () => images.prepare(png, undefined, recipe, {}));
    found.push(...(await many(3, () => images.preparePixels(picture, recipe))));
    expect(found).toEqual(Array(6).fill(await toPatches(picture, recipe)));
    expect(workers).toHaveLength(0);
    expect(await many(9, () => images.prepare(png, undefined, recipe, {}))).toEqual(Array(9).fill(found[0]));
    expect(workers.length).toBeGreaterThan(0);
  });

  it("that die take one picture with them", async () => {
    const all = Array.from({ length: 30 }, () => images.decode(jpeg, "x"));
    const [first] = workers;
    await first.terminate();
    const found = await Promise.allSettled(all);
    const lost = found.filter(({ status }) => status === "rejected");
    expect(lost).toHaveLength(1);
    expect((lost[0] as PromiseRejectedResult).reason.message).toMatch(
      /^x: wanted .*the decoder's thread ended with code \d/,
    );
    expect((await images.decode(jpeg)).width).toBe(640);
  });

  it("leave what was aborted while it waited", async () => {
    const warned = vi.fn();
    process.on("warning", warned);
    const stop = new AbortController();
    const kept = many(4, () => images.decode(jpeg));
    const aborted = many(60, () => images.decode(jpeg, "x", { signal: stop.signal }));
    stop.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    expect(await kept).toHaveLength(4);
    expect(await many(20, () => images.decode(jpeg, "x", { signal: new AbortController().signal }))).toHaveLength(20);
    process.off("warning", warned);
    expect(warned).not.toHaveBeenCalled();
  });
});
