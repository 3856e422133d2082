import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/model/config.ts";
import { positionInputs } from "../../src/model/positions.ts";
import { atSize } from "../../src/model/size.ts";
import { SiglipError } from "../../src/support/error.ts";
import { holdLarger } from "./larger.ts";

describe("positions", () => {
  const table = Float32Array.from({ length: 9 * 2 }, (_, i) => Math.sin(i));

  it("on the learned grid are the learned ones", () => {
    const grid = [3, 3] as const;
    expect(positionInputs(table, { hidden: 2, grid } as never)(undefined, 9).positions).toEqual(table);
    const { positions, lengths } = positionInputs(table, { hidden: 2 } as never)([grid, [1, 1]], 10);
    expect(positions.subarray(0, 18)).toEqual(table);
    expect([...lengths]).toEqual([9, 1]);
    // Behind a picture's own stands its first.
    expect(positions.subarray(18, 20)).toEqual(table.subarray(0, 2));
    for (let i = 1; i < 10; i++) expect(positions.slice(20 + 2 * i, 22 + 2 * i)).toEqual(positions.slice(20, 22));
  });
});

describe("another size", () => {
  const config = parseConfig({ model_type: "siglip", vision_config: { patch_size: 16, image_size: 64 } });

  it("has as many tokens as whole patches fit", () => {
    const { vision, image } = atSize(config, [100, 47]);
    expect(vision).toMatchObject({ grid: [6, 2], tokens: 12, imageSize: 64 });
    expect(image.size).toEqual([100, 47]);
    expect(atSize(config, [64, 64])).toBe(config);
  });

  it("is two sides of at least a patch, and of no NaFlex model", () => {
    for (const odd of [64, [64], [15, 64], [64, 4097], [64.5, 64], ["64", 64], [64n, 64n], null]) {
      expect(() => atSize(config, odd as never), String(odd)).toThrow(SiglipError);
      expect(() => atSize(config, odd as never)).toThrow(
        /^size: wanted \[height, width\], whole pixels from 16 to 4096/,
      );
    }
    expect(() => atSize(parseConfig({ model_type: "siglip2" }), [64, 64])).toThrow("size: wanted a model of one size");
  });
});

holdLarger(["cpu", "wasm"]);
