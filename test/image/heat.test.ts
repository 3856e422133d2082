import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { heatRgba, withHeat } from "../../src/image/heat.ts";
import { encodePng } from "../../src/node/images/write-png.ts";
import { synthetic } from "../harness/pictures.ts";

describe("heat", () => {
  const heat = { data: Float32Array.of(-1, 0, 0, 4, 0, -2), shape: [2, 3] } as const;

  it("is red on the hottest cell and clear where there is none", () => {
    const rgba = heatRgba(heat, 30, 20);
    const at = (x: number, y: number) => [...rgba.subarray(4 * (30 * y + x), 4 * (30 * y + x) + 4)];
    // The first cell of the second row: its middle is between pixels 4 and 5, 14 and 15.
    expect(at(2, 17)).toEqual([255, 32, 0, 178]);
    expect(at(25, 5)[3]).toBe(0);
    expect(at(2, 2)[3]).toBe(0);
    const opacities = [2, 8, 12, 14].map((x) => at(x, 17)[3]);
    expect(opacities).toEqual([...opacities].sort((a, b) => b - a));
    expect(Math.max(...rgba.filter((_, i) => i % 4 === 3))).toBe(178);
  });

  it("leaves a picture as it is where no cell is hot", () => {
    const picture = synthetic(30, 20);
    const cold = { ...heat, data: new Float32Array(6).fill(-1) };
    expect(withHeat(picture, cold)).toEqual(picture);
    expect(withHeat(picture, heat)).not.toEqual(picture);
    expect(() => heatRgba({ ...heat, shape: [3, 3] }, 30, 20)).toThrow("heat map: wanted 9 values for 3 x 3, found 6");
  });
});

describe("a PNG that is written", () => {
  it("is read by others", () => {
    for (const picture of [synthetic(1, 1), synthetic(30, 20), synthetic(257, 3)]) {
      const file = encodePng(picture);
      const { width, height, data } = PNG.sync.read(Buffer.from(file));
      expect([width, height]).toEqual([picture.width, picture.height]);
      expect(Uint8Array.from(data.filter((_, i) => i % 4 < 3))).toEqual(picture.data);
    }
  });
});
