import { expect, it } from "vitest";
import { halfToFloat } from "../../src/support/numbers.ts";
import { packRows, quantise } from "../../src/tensor/quantise.ts";
import { GROUP } from "../../src/tensor/shape.ts";
import { random } from "../judge/reference.ts";

for (const [dtype, bits] of [
  ["q8", 8],
  ["q4", 4],
] as const) {
  it(`${dtype} rounds to the nearest step, and keeps zeros`, () => {
    const values = new Float32Array(8 * GROUP);
    values.set(random(7 * GROUP, 1, 0.03), GROUP);
    const { codes, scales } = quantise(values, dtype);
    expect([...codes.subarray(0, GROUP)]).toEqual(new Array(GROUP).fill(0));
    for (const [i, value] of values.entries()) {
      const scale = halfToFloat(scales[Math.floor(i / GROUP)]);
      const limit = 2 ** (bits - 1);
      const code = codes[i];
      expect(code).toBeGreaterThanOrEqual(-limit);
      expect(code).toBeLessThan(limit);
      // Half a step, but where the range ends: 4 bits clip the largest values on purpose, for the others' sake.
      if (code > -limit && code < limit - 1)
        expect(Math.abs(value - code * scale)).toBeLessThanOrEqual(Math.abs(scale) / 2 + 1e-9);
    }
  });

  it(`${dtype} refuses weights that are not finite, and survives extremes`, () => {
    expect(() => packRows(new Float32Array(GROUP).fill(Number.NaN), 1, dtype, "w")).toThrow(
      /^w: wanted finite weights/,
    );
    const odd = new Float32Array(GROUP);
    odd[5] = Number.POSITIVE_INFINITY;
    expect(() => packRows(odd, GROUP, dtype)).toThrow(/^A weight: wanted finite weights/);
    for (const extreme of [1e-30, 1e30]) {
      const { codes, scales } = quantise(new Float32Array(GROUP).fill(extreme), dtype);
      expect(codes.every((code) => Number.isFinite(code * halfToFloat(scales[0])))).toBe(true);
    }
  });
}

it("packs nibbles low half first, eight above the weight", () => {
  const values = Float32Array.from({ length: GROUP }, (_, i) => (i === 0 ? -8 : i === 1 ? 7 : i === 2 ? -3 : 0));
  const { codes } = quantise(values, "q4");
  const { bytes } = packRows(values, GROUP, "q4");
  expect(bytes[0]).toBe((codes[0] + 8) | ((codes[1] + 8) << 4));
  expect(bytes[1] & 15).toBe(codes[2] + 8);
});
