import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { flexiblePatches, joinFlexible } from "../../src/image/naflex.ts";
import type { Siglip } from "../../src/siglip/siglip.ts";
import { synthetic } from "../harness/pictures.ts";
import { syntheticModel } from "./synthetic.ts";

const processor = { image_processor_type: "Siglip2ImageProcessor", resample: 2, max_num_patches: 20 };
const pictures = [synthetic(60, 40), synthetic(20, 90), synthetic(31, 31)];
const patch = 4;

describe("a NaFlex model", () => {
  let model: Siglip;
  beforeAll(async () => {
    model = await syntheticModel("tiny-naflex", processor);
  });
  afterAll(() => model.dispose());

  const distance = (a: Float32Array, b: Float32Array) => Math.hypot(...a.map((value, i) => value - b[i]));

  it("embeds pictures of any shape in one batch as each alone", async () => {
    const { data, shape } = await model.embedImages(pictures, { batch: 3 });
    expect(shape).toEqual([3, model.dim]);
    for (const [index, picture] of pictures.entries()) {
      const alone = await model.embedImages([picture]);
      expect(distance(alone.data, data.subarray(index * model.dim, (index + 1) * model.dim))).toBeLessThan(1e-6);
    }
  });

  it("takes as many patches as a call says", async () => {
    const usual = await model.embedImages(pictures);
    expect((await model.embedImages(pictures, { maxPatches: 20 })).data).toEqual(usual.data);
    expect(distance((await model.embedImages(pictures, { maxPatches: 60 })).data, usual.data)).toBeGreaterThan(1e-3);
    await expect(model.embedImages(pictures, { maxPatches: 0 })).rejects.toThrow(/maxPatches: wanted a whole number/);
  });

  it("takes patches and grids below that, however far they are padded", async () => {
    const usual = await model.embedImages(pictures);
    const { image } = model.config;
    const each = pictures.map((picture) => flexiblePatches(picture, image, { patch, stride: 48 }));
    const { patches, grids } = joinFlexible(await Promise.all(each));
    const pooled = await model.imageTower({ patches, grids });
    const most = patches.length / (3 * 48);
    const longer = new Float32Array(3 * (most + 7) * 48);
    for (const item of [0, 1, 2]) {
      longer.set(patches.subarray(item * most * 48, (item + 1) * most * 48), item * (most + 7) * 48);
    }
    const same = await model.imageTower({ patches: longer, grids });
    expect(distance(same.data, pooled.data) / Math.hypot(...pooled.data)).toBeLessThan(1e-6);
    for (const item of [0, 1, 2]) {
      const row = pooled.data.slice(item * model.dim, (item + 1) * model.dim);
      const norm = Math.hypot(...row);
      const wanted = usual.data.slice(item * model.dim, (item + 1) * model.dim);
      expect(
        distance(
          row.map((value) => value / norm),
          wanted,
        ),
      ).toBeLessThan(1e-6);
    }
    expect((await model.imageTower({ patches: new Float32Array(0), grids: [] })).shape).toEqual([0, model.dim]);
  });

  it("refuses what fits no picture", async () => {
    const patches = new Float32Array(2 * 6 * 48);
    const tower = (input: unknown) => model.imageTower(input as never);
    await expect(tower(new Float32Array(48))).rejects.toThrow(/imageTower: wanted \{ patches, grids \}/);
    await expect(tower({ patches, grids: [[2, 3]] })).resolves.toBeDefined();
    const five = /wanted patches of \[5, 1 to 4096, 48\] for 5 grids, found 576 values/;
    await expect(tower({ patches, grids: new Array(5).fill([1, 1]) })).rejects.toThrow(five);
    for (const grid of [[2, 4], [0, 3], [6], [1.5, 2], [2n, 3n], null]) {
      const message = /wanted a grid \[rows, columns\] of 1 to 6 patches for each picture, found .* at 1;/;
      await expect(tower({ patches, grids: [[2, 3], grid] })).rejects.toThrow(message);
    }
    patches[100] = Number.POSITIVE_INFINITY;
    const odd = "imageTower: wanted finite pixel values, found Infinity at 100";
    await expect(
      tower({
        patches,
        grids: [
          [2, 3],
          [1, 1],
        ],
      }),
    ).rejects.toThrow(odd);
  });
});

it("a model of one size takes no maxPatches", async () => {
  const model = await syntheticModel("tiny-hd64", { resample: 3 });
  await expect(model.embedImages(pictures, { maxPatches: 9 })).rejects.toThrow("maxPatches: wanted a NaFlex model");
  model.dispose();
});
