import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkMaxPatches, flexiblePatches, gridOf, joinFlexible } from "../../src/image/naflex.ts";
import { type ImageProcessing, pixelValues } from "../../src/image/preprocess.ts";
import { synthetic } from "../harness/pictures.ts";

const image: ImageProcessing = {
  size: [64, 64],
  maxPatches: 20,
  resample: "bilinear",
  rescale: 1 / 255,
  mean: [0.5, 0.4, 0.3],
  std: [0.5, 0.25, 0.2],
};

describe("the grid of a picture", () => {
  it("is Hugging Face's, whatever the picture, the patch and the budget", () => {
    const file = new URL("../fixtures/images/naflex-sizes.json", import.meta.url);
    const rows: number[][] = JSON.parse(readFileSync(file, "utf8"));
    expect(rows.length).toBeGreaterThan(100);
    for (const [height, width, patch, budget, ...wanted] of rows) {
      const found = gridOf(height, width, patch, budget).map((side) => side * patch);
      expect(found, `${height} x ${width}, at most ${budget} of ${patch}`).toEqual(wanted);
    }
  });
});

describe("pictures of several shapes", () => {
  const [wide, tall] = [synthetic(90, 40), synthetic(20, 50)];

  it("are cut in (row, column, channel) order and padded with zeros to the one of most patches", async () => {
    const [patch, stride] = [5, 80];
    const each = [wide, tall].map((picture) => flexiblePatches(picture, image, { patch, stride }));
    const { patches, grids } = joinFlexible(await Promise.all(each));
    expect(grids).toEqual([gridOf(40, 90, patch, 20), gridOf(50, 20, patch, 20)]);
    const most = Math.max(...grids.map(([rows, columns]) => rows * columns));
    expect(patches.length).toBe(2 * most * stride);
    for (const [index, picture] of [wide, tall].entries()) {
      const [rows, columns] = grids[index];
      const [height, width] = [rows * patch, columns * patch];
      const values = pixelValues(picture, { ...image, size: [height, width] });
      const wanted = new Float32Array(most * stride);
      for (let row = 0; row < rows * columns; row++) {
        for (let i = 0; i < 3 * patch * patch; i++) {
          const y = Math.floor(row / columns) * patch + Math.floor(i / (3 * patch));
          const x = (row % columns) * patch + (Math.floor(i / 3) % patch);
          wanted[row * stride + i] = values[(i % 3) * height * width + y * width + x];
        }
      }
      expect(patches.subarray(index * most * stride, (index + 1) * most * stride)).toEqual(wanted);
    }
  });

  it("take the budget of a call, and no other than a whole number that can be", async () => {
    const one = (maxPatches: number) => flexiblePatches(wide, image, { patch: 5, stride: 75, maxPatches });
    expect((await one(1)).grids).toEqual([[1, 1]]);
    expect((await one(4096)).grids).toEqual([gridOf(40, 90, 5, 4096)]);
    for (const odd of [0, -1, 1.5, 4097, Number.NaN, "9" as unknown as number]) {
      const message = `maxPatches: wanted a whole number from 1 to 4096, found ${odd};`;
      expect(() => checkMaxPatches(image, odd)).toThrow(message);
    }
    const fixed = { ...image, maxPatches: undefined };
    expect(() => checkMaxPatches(fixed, 9)).toThrow("maxPatches: wanted a NaFlex model");
  });
});
