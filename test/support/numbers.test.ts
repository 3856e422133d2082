import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SiglipError } from "../../src/support/error.ts";
import { type FloatDType, float32ToHalf, floatToHalf, halfToFloat, toFloat32 } from "../../src/support/numbers.ts";

const every = Uint16Array.from({ length: 65536 }, (_, i) => i);
const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** The same bytes at an odd address. */
function misaligned(bytes: Uint8Array): Uint8Array {
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  return shifted.subarray(1);
}

describe("half precision", () => {
  it("has the values of IEEE 754", () => {
    const values: [number, number][] = [
      [0x0000, 0],
      [0x8000, -0],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3555, 0.333251953125],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x7c00, Infinity],
      [0xfc00, -Infinity],
      [0x7e00, NaN],
    ];
    for (const [half, value] of values) expect(halfToFloat(half)).toBe(value);
  });

  it("survives the way to float32 and back, all 65536 patterns", () => {
    const floats = toFloat32(bytesOf(every), "F16");
    const back = float32ToHalf(floats);
    for (let half = 0; half < 65536; half++) {
      // Some 130000 calls of expect would take seconds.
      if (!Object.is(floats[half], halfToFloat(half))) expect(floats[half]).toBe(halfToFloat(half));
      if (Number.isNaN(floats[half])) {
        if ((back[half] & 0x7fff) !== 0x7e00) expect.fail(`NaN ${half} came back as ${back[half]}`);
      } else if (back[half] !== half) expect(back[half]).toBe(half);
    }
  });

  it("rounds to the nearest, ties to even", () => {
    const halves = [...every.subarray(0, 0x7c00)].map(halfToFloat);
    for (let i = 0; i + 1 < halves.length; i++) {
      const middle = Math.fround((halves[i] + halves[i + 1]) / 2);
      const even = floatToHalf(halves[i]) % 2 === 0 ? halves[i] : halves[i + 1];
      const around = [middle, middle * (1 + 2 ** -23), middle * (1 - 2 ** -23)].map(floatToHalf).map(halfToFloat);
      const wanted = [even, halves[i + 1], halves[i]];
      if (around.join() !== wanted.join()) expect(around).toEqual(wanted);
    }
    expect([65519.996, 65520, 1e30, -65520].map(floatToHalf)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00]);
  });

  it("is the same for one value and for many", () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 1 }), (values) => {
        expect([...float32ToHalf(values)]).toEqual([...values].map(floatToHalf));
      }),
    );
    expect(float32ToHalf(new Float32Array([0, 1, 2, 3]).subarray(1, 3))).toEqual(new Uint16Array([0x3c00, 0x4000]));
  });
});

describe("toFloat32", () => {
  const stored: [FloatDType, ArrayBufferView, number[]][] = [
    ["F32", new Float32Array([1.5, -2, NaN]), [1.5, -2, NaN]],
    ["F64", new Float64Array([0.1, 1e300, -1e-300]), [Math.fround(0.1), Infinity, -0]],
    ["F16", new Uint16Array([0x3c00, 0x0001, 0xfc00]), [1, 2 ** -24, -Infinity]],
    ["BF16", new Uint16Array([0x3f80, 0xc2f7, 0x0001]), [1, -123.5, 2 ** -133]],
  ];

  for (const [dtype, array, values] of stored) {
    it(`reads ${dtype} at any alignment`, () => {
      expect([...toFloat32(bytesOf(array), dtype)]).toEqual(values);
      expect([...toFloat32(misaligned(bytesOf(array)), dtype)]).toEqual(values);
      expect(toFloat32(new Uint8Array(0), dtype)).toEqual(new Float32Array(0));
    });

    it(`refuses a part of an element of ${dtype}`, () => {
      expect(() => toFloat32(bytesOf(array).subarray(1), dtype)).toThrow(SiglipError);
      expect(() => toFloat32(bytesOf(array).subarray(1), dtype)).toThrow(`whole number of ${dtype}`);
    });
  }

  it("copies nothing where it need not", () => {
    const values = new Float32Array([1, 2, 3]);
    expect(toFloat32(bytesOf(values.subarray(1)), "F32").buffer).toBe(values.buffer);
  });

  it("keeps the bits of a bfloat16 in the upper half", () => {
    const floats = toFloat32(bytesOf(every), "BF16");
    const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
    expect(bits.every((value, i) => value === i * 65536)).toBe(true);
  });
});
