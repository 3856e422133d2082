import { Module } from "../../../../kernels/wasm/assembler.ts";
import { i8x16, i16x8, i32, i32x4, type V128, v128 } from "../../../../kernels/wasm/instructions.ts";
import { FRACTION_BITS } from "../../../image/resize.ts";

/** Weights are cut here into what two products of 16 bits take: the lower bits, and the rest with its sign. */
export const LOW_BITS = 15;

/** Pixels that are weighted at a time, and the bytes of their weights: pairs of lower parts, then pairs of the rest. */
export const GROUP = 4;
export const GROUP_BYTES = 16;

/** What is read and written beyond what counts. */
export const SLACK = 16;

const HALF = 1 << (FRACTION_BITS - 1);
const ZERO = i32x4.const(0);

/** Bytes of two neighbours as pairs of shorts: both reds, both greens, both blues, nothing. */
const pairs = (first: number) => [...[0, 1, 2].flatMap((c) => [first + c, 16, first + 3 + c, 16]), ...[16, 16, 16, 16]];

/** Four sums to bytes in the low word. */
function toBytes(sums: V128): V128 {
  const shorts = i16x8.narrow_i32x4_s(i32x4.shr_s(sums, FRACTION_BITS), ZERO);
  return i8x16.narrow_i16x8_u(shorts, ZERO);
}

/**
 * A row of RGB scaled: of `count` pixels each is a sum over `groups` times 4 neighbours, from the byte of `row` that `starts` says, i32
 * each, with `weights`. Sums wrap as those of `resize` do.
 */
export function across(): Module {
  const m = new Module();
  m.function(6, (f, row, out, starts, weights, groups, count) => {
    const end = f.let(i32.add(starts, i32.shl(count, 2)));
    const weight = f.let(weights);
    const span = f.let(i32.mul(groups, GROUP_BYTES));
    f.for(starts, end, 4, (start) => {
      const pixels = f.let(i32.add(row, i32.load(start)));
      const low = f.let(i32x4.const(HALF));
      const high = f.let(ZERO);
      const stop = f.let(i32.add(weight, span));
      f.repeat(
        () => {
          const four = f.let(v128.load(pixels));
          for (const half of [0, 1]) {
            const two = f.let(i8x16.shuffle(four, ZERO, pairs(6 * half)));
            f.set(low, i32x4.add(low, i32x4.dot_i16x8_s(two, v128.load32_splat(weight, 4 * half))));
            f.set(high, i32x4.add(high, i32x4.dot_i16x8_s(two, v128.load32_splat(weight, 8 + 4 * half))));
          }
          f.bump(pixels, 3 * GROUP);
          f.bump(weight, GROUP_BYTES);
        },
        () => i32.lt_u(weight, stop),
      );
      f.do(v128.store32_lane0(out, toBytes(i32x4.add(i32x4.shl(high, LOW_BITS), low))));
      f.bump(out, 3);
    });
  });
  return m;
}

/** Adds each byte of a row, times the i32 at `weight`, to sums, i32 each, 16 at a time, until `end`, which is a place in the row. */
export function down(): Module {
  const m = new Module();
  m.function(4, (f, row, end, weight, sums) => {
    const factor = f.let(v128.load32_splat(weight));
    f.for(row, end, 16, (at) => {
      const bytes = f.let(v128.load(at));
      for (let i = 0; i < 4; i++) {
        const four = i8x16.shuffle(
          bytes,
          ZERO,
          [0, 1, 2, 3].flatMap((lane) => [4 * i + lane, 16, 16, 16]),
        );
        f.do(v128.store(sums, i32x4.add(v128.load(sums, 16 * i), i32x4.mul(four, factor)), 16 * i));
      }
      f.bump(sums, 64);
    });
  });
  return m;
}

/** Sums to bytes, four at a time, until `end`, which is a place in the sums. */
export function finish(): Module {
  const m = new Module();
  m.function(3, (f, sums, end, out) => {
    f.for(sums, end, 16, (at) => {
      f.do(v128.store32_lane0(out, toBytes(v128.load(at))));
      f.bump(out, 4);
    });
  });
  return m;
}
