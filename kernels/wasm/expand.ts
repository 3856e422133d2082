import type { Body, Call, Module } from "./assembler.ts";
import { finiteHalf, finiteHighHalf } from "./half.ts";
import { f32x4, i8x16, i16x8, i32x4, type Local, type V128, v128 } from "./instructions.ts";

/** Adds f(codes, scales, groups, to): a panel's codes in the layout in which a block wants them. */
export type AddExpand = (m: Module) => Call;

/** Words of four bytes, of eight columns: what a panel consists of. */
const ROW = 32;

/**
 * For each group: `rows` rows of words by way of `each`, which returns the `factor` vectors that become of a word of
 * four columns, in order.
 */
function addExpand(
  rows: number,
  factor: number,
  each: (f: Body, words: Local<"v128">, scale: Local<"v128">) => V128[],
  scaled = false,
): AddExpand {
  return (m) =>
    m.function(4, (f, codes, scales, groups, to) => {
      f.for(0, groups, 1, () => {
        for (const half of [0, 1]) {
          const scale = scaled ? f.let(finiteHalf(v128.load16x4_s(scales, 8 * half))) : f.local("v128");
          for (let row = 0; row < rows; row++) {
            const made = each(f, f.let(v128.load(codes, row * ROW + 16 * half)), scale);
            for (const [i, lanes] of made.entries()) {
              f.do(v128.store(to, lanes, (row * factor + i) * ROW + 16 * half));
            }
          }
        }
        f.bump(codes, rows * ROW);
        f.bump(scales, 16);
        f.bump(to, rows * factor * ROW);
      });
    });
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Halves to floats. */
export const halvesToFloats = addExpand(16, 2, (_, words) => [finiteHalf(words), finiteHighHalf(words)]);

/** Codes of 8 and of 4 bits to floats. */
export const bytesToFloats = addExpand(
  8,
  4,
  (_, words, scale) =>
    numbers(4).map((k) => f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(words, 24 - 8 * k), 24)), scale)),
  true,
);
export const nibblesToFloats = addExpand(
  4,
  8,
  (_, words, scale) =>
    numbers(8).map((k) => {
      const code = i32x4.sub(i32x4.shr_u(i32x4.shl(words, 28 - 4 * k), 28), i32x4.const(8));
      return f32x4.mul(f32x4.convert_i32x4_s(code), scale);
    }),
  true,
);

/** Codes of 8 and of 4 bits to 16. */
export const bytesToShorts = addExpand(8, 2, (f, words) => {
  const pairs = f.let(i8x16.shuffle(words, words, [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]));
  return [i16x8.extend_low_i8x16_s(pairs), i16x8.extend_high_i8x16_s(pairs)];
});
export const nibblesToShorts = addExpand(4, 4, (_, words) =>
  numbers(4).map((pair) => {
    const even = v128.and(i32x4.shr_u(words, 8 * pair), i32x4.const(15));
    const odd = v128.and(i32x4.shl(i32x4.shr_u(words, 8 * pair + 4), 16), i32x4.const(15 << 16));
    return i16x8.sub(v128.or(even, odd), i32x4.const(0x80008));
  }),
);

/** Nibbles to bytes, 8 above the weight: the even ones of eight along the depth, then the odd ones. */
export const nibblesToBytes = addExpand(4, 2, (_, words) => [
  v128.and(words, i32x4.const(0x0f0f0f0f)),
  v128.and(i32x4.shr_u(words, 4), i32x4.const(0x0f0f0f0f)),
]);

/** Bytes that a group's scales and offsets take: eight f32, eight i32. */
export const SCALES = 64;

/**
 * Adds f(codes, scales, groups, to): a panel's scales as f32 times `factor` and, where `offset` is not 0, `offset`
 * times the sum of a group's weights of 8 bits, by which sums of products with an x that lies so far above 0 are too
 * large.
 */
export function addScales(factor: number, offset: number): AddExpand {
  return (m) =>
    m.function(4, (f, codes, scales, groups, to) => {
      f.for(0, groups, 1, () => {
        for (const half of [0, 1]) {
          const scale = finiteHalf(v128.load16x4_s(scales, 8 * half));
          f.do(v128.store(to, f32x4.mul(scale, f32x4.const(factor)), 16 * half));
          if (offset === 0) continue;
          const sum = f.let(i32x4.const(0));
          for (let row = 0; row < 8; row++) {
            f.set(sum, i8x16.relaxed_dot_add(v128.load(codes, row * ROW + 16 * half), i32x4.const(0x01010101), sum));
          }
          f.do(v128.store(to, i32x4.mul(sum, i32x4.const(-offset)), 32 + 16 * half));
        }
        f.bump(codes, 8 * ROW);
        f.bump(scales, 16);
        f.bump(to, SCALES);
      });
    });
}
