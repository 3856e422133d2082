import { greatestOfGroup } from "./activations.ts";
import type { Body } from "./assembler.ts";
import { finiteHalf, toHalf } from "./half.ts";
import { f32x4, f64x2, i8x16, i16x8, i32, i32x4, type Local, type V128, v128 } from "./instructions.ts";
import type { AddEncode } from "./pack.ts";
import { GROUP } from "./params.ts";

/**
 * Rounding to 8 and 4 bits as src/tensor/quantise.ts does it, in float64 and in the same order, so that codes and
 * scales are the same in every bit.
 */

/** Bytes that follow a wide row in scratch: two groups in float64, element by element. */
export const PAIRS = 16 * GROUP;

/** Two f64 to the nearest half within its range: as f64, and its bits in the low two lanes. */
function nearestHalf(f: Body, value: V128): { number: Local<"v128">; bits: Local<"v128"> } {
  const limit = f32x4.const(65504);
  const single = f32x4.pmin(f32x4.pmax(f32x4.demote_f64x2_zero(value), f32x4.const(-65504)), limit);
  const bits = f.let(toHalf(f, f.let(single)));
  return { number: f.let(f64x2.promote_low_f32x4(finiteHalf(bits))), bits };
}

/** Two f64, not too large and not too small, to the nearest integer of `low` to `high`, 128 added. */
function nearest(value: V128, low: number, high: number): V128 {
  const clamped = f64x2.pmin(f64x2.pmax(value, f64x2.const(low)), f64x2.const(high));
  return f64x2.floor(f64x2.add(clamped, f64x2.const(128.5)));
}

/** 1 / scale, or 0 where that is 0. */
function inverseOf(f: Body, scale: Local<"v128">): Local<"v128"> {
  return f.let(v128.and(f64x2.div(f64x2.const(1), scale), f64x2.ne(scale, f64x2.const(0))));
}

/** Sixteen weights from `at` on times `inverse` (f64) to bytes, 128 above their codes. */
function codesOf(f: Body, row: Local<"i32">, at: number, inverse: V128, low: number, high: number): V128 {
  const quarters = [0, 16, 32, 48].map((offset) => {
    const four = f.let(v128.load(row, at + offset));
    // 2^52 lines the integer up with the last bits of the mantissa.
    const pair = (value: V128) =>
      f64x2.add(nearest(f64x2.mul(f64x2.promote_low_f32x4(value), inverse), low, high), f64x2.const(2 ** 52));
    const upper = i32x4.shuffle(four, four, [2, 3, 2, 3]);
    return f.let(i32x4.shuffle(pair(four), pair(upper), [0, 2, 4, 6]));
  });
  const [a, b, c, d] = quarters;
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** To 8 bits: the largest magnitude of a group becomes 127. */
export const addQ8: AddEncode = (m) =>
  m.function(4, (f, row, padded, codes, scales) => {
    const end = f.let(i32.add(row, i32.shl(padded, 2)));
    f.repeat(
      () => {
        const top = greatestOfGroup(f, row);
        const scale = nearestHalf(f, f64x2.div(f64x2.promote_low_f32x4(top), f64x2.const(127)));
        f.do(i32.store16(scales, i32x4.extract(scale.bits, 0)));
        const inverse = inverseOf(f, scale.number);
        for (const at of [0, 64]) {
          const bytes = codesOf(f, row, at, inverse, -127, 127);
          f.do(v128.store(codes, i8x16.sub(bytes, i8x16.splat(128)), at / 4));
        }
        f.bump(row, 4 * GROUP);
        f.bump(codes, GROUP);
        f.bump(scales, 2);
      },
      () => i32.ne(row, end),
    );
  });

/** To 4 bits, two groups at a time, each in one lane of f64: the scale is that of four with the least squared error. */
export const addQ4: AddEncode = (m) => {
  const scaleOf = m.function(4, (f, a, b, pairs, to) => addBestScales(f, a, b, pairs, to));
  return m.function(4, (f, row, padded, codes, scales) => {
    const end = f.let(i32.add(row, i32.shl(padded, 2)));
    const pairs = end;
    f.repeat(
      () => {
        // The last of an odd number of groups is taken alone.
        const single = f.let(i32.eq(i32.add(row, 4 * GROUP), end));
        const next = f.let(i32.sub(i32.add(row, 4 * GROUP), i32.mul(single, 4 * GROUP)));
        f.do(scaleOf(row, next, pairs, pairs));
        const best = f.let(v128.load(pairs));
        const inverse = inverseOf(f, best);
        const bits = nearestHalf(f, best).bits;
        const write = (lane: number) => {
          f.do(i32.store16(scales, i32x4.extract(bits, lane)));
          const factor = f.let(i32x4.shuffle(inverse, inverse, lane === 0 ? [0, 1, 0, 1] : [2, 3, 2, 3]));
          for (const at of [0, 64]) {
            // 128 + code in a byte, 8 + code in a nibble.
            const bytes = f.let(i8x16.sub(codesOf(f, row, at, factor, -8, 7), i8x16.splat(120)));
            const nibbles = v128.or(bytes, i16x8.shr_u(bytes, 4));
            const low = f.let(v128.and(nibbles, i32x4.const(0x00ff00ff)));
            f.do(v128.store64_lane0(codes, i8x16.narrow_i16x8_u(low, low), at / 8));
          }
          f.bump(row, 4 * GROUP);
          f.bump(codes, GROUP / 2);
          f.bump(scales, 2);
        };
        write(0);
        f.when(i32.eq(single, 0), () => write(1));
      },
      () => i32.ne(row, end),
    );
  });
};

/** Two groups' best scales, two f64, to `to`; `pairs` is room for both groups. */
function addBestScales(f: Body, a: Local<"i32">, b: Local<"i32">, pairs: Local<"i32">, to: Local<"i32">): void {
  const end = f.let(i32.add(pairs, PAIRS));
  const top = f.let(f64x2.const(0));
  f.for(pairs, end, 64, (at) => {
    const [four, other] = [f.let(v128.load(a)), f.let(v128.load(b))];
    for (const [half, lanes] of [
      [0, 4, 1, 5],
      [2, 6, 3, 7],
    ].entries()) {
      const both = f.let(i32x4.shuffle(four, other, lanes));
      for (const [i, two] of [both, i32x4.shuffle(both, both, [2, 3, 2, 3])].entries()) {
        const value = f.let(f64x2.promote_low_f32x4(two));
        f.do(v128.store(at, value, 32 * half + 16 * i));
        f.set(top, v128.bitselect(value, top, f64x2.lt(f64x2.abs(top), f64x2.abs(value))));
      }
    }
    f.bump(a, 16);
    f.bump(b, 16);
  });
  // Both starting points at once: each by itself waits for its own sums more than it calculates.
  const scales = [0.8, 0.95].map((start) => {
    const first = f64x2.mul(f64x2.div(top, f64x2.const(-8)), f64x2.const(start));
    return f.let(nearestHalf(f, first).number);
  });
  const plain = sumUp(f, pairs, end, scales, true);
  const refitted = plain.map(({ scale, products, squares }) => {
    const better = nearestHalf(f, f64x2.div(products, squares)).number;
    // A scale that has become 0 stays so.
    return f.let(v128.and(better, f64x2.ne(scale, f64x2.const(0))));
  });
  const again = sumUp(f, pairs, end, refitted, false);
  const best = f.let(f64x2.const(0));
  const least = f.let(f64x2.const(Number.POSITIVE_INFINITY));
  for (const { scale, error } of [plain[0], again[0], plain[1], again[1]]) {
    const valid = f64x2.ne(scale, f64x2.const(0));
    const better = f.let(v128.and(f64x2.lt(error, least), valid));
    f.set(best, v128.bitselect(scale, best, better));
    f.set(least, v128.bitselect(error, least, better));
  }
  f.do(v128.store(to, best));
}

/** What a scale makes of two groups: the squared error, and the sums that refit it. Two f64 each. */
interface Sums {
  readonly scale: Local<"v128">;
  readonly inverse: Local<"v128">;
  readonly error: Local<"v128">;
  readonly products: Local<"v128">;
  readonly squares: Local<"v128">;
}

/** What each scale makes of them; where it is not to `refit` any, only the errors. */
function sumUp(
  f: Body,
  pairs: Local<"i32">,
  end: Local<"i32">,
  scales: readonly Local<"v128">[],
  refit: boolean,
): Sums[] {
  const all = scales.map((scale) => {
    const [error, products, squares] = [0, 0, 0].map((zero) => f.let(f64x2.const(zero)));
    return { scale, inverse: inverseOf(f, scale), error, products, squares };
  });
  f.for(pairs, end, 16, (at) => {
    const value = f.let(v128.load(at));
    for (const { scale, inverse, error, products, squares } of all) {
      const code = f.let(f64x2.sub(nearest(f64x2.mul(value, inverse), -8, 7), f64x2.const(128)));
      const difference = f.let(f64x2.sub(value, f64x2.mul(code, scale)));
      f.set(error, f64x2.add(error, f64x2.mul(difference, difference)));
      if (!refit) continue;
      f.set(products, f64x2.add(products, f64x2.mul(code, value)));
      f.set(squares, f64x2.add(squares, f64x2.mul(code, code)));
    }
  });
  return all;
}
