import { expect, it } from "vitest";
import { compare } from "./compare.ts";

const shape = [2, 3];
const label = "x";
const expected = new Float32Array([1, 2, 3, 4, 5, 6]);

it("measures the normalised error in float64", () => {
  const { nmse, relativeError } = compare(new Float32Array([1, 2, 3, 4, 5, 7]), expected, { shape, gate: 0.1, label });
  expect(nmse).toBeCloseTo(1 / 91, 12);
  expect(relativeError).toBeCloseTo(Math.sqrt(1 / 91), 12);
  expect(compare(new Float32Array(6), new Float32Array(6), { shape, gate: 0, label }).nmse).toBe(0);
});

it("names the worst element", () => {
  expect(() => compare(new Float32Array([1, 2, 3, 9, 5, 6]), expected, { shape, gate: 1e-10, label })).toThrow(
    "worst at [1,0]: 9 where 4 was expected",
  );
  expect(() => compare(new Float32Array([1, 2, 3, 9, 5, 6]), expected, { shape, relative: 0.1, label })).toThrow();
});

it("never lets a value pass that is not finite, nor one where zeros were expected", () => {
  const broken = new Float32Array([1, Number.NaN, 3, 4, Number.POSITIVE_INFINITY, 6]);
  const always = { shape, gate: Number.POSITIVE_INFINITY, label };
  expect(() => compare(broken, expected, always)).toThrow("2 of 6 not finite; worst at [0,1]: NaN");
  expect(() => compare(broken, broken, always)).toThrow();
  expect(() => compare(expected, new Float32Array(6), { shape, gate: 1, label })).toThrow("Infinity");
});

it("wants as many values as the shape holds", () => {
  expect(() => compare(expected.subarray(1), expected, { shape, gate: 1, label })).toThrow(
    "holds 6 values, but 5 came",
  );
});
