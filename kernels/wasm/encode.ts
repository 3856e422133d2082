import { greatestOfGroup, rounded, TOP } from "./activations.ts";
import { finiteHalf, toHalf } from "./half.ts";
import { f32x4, i16x8, i32, i32x4, type V128, v128 } from "./instructions.ts";
import type { AddEncode } from "./pack.ts";
import { GROUP } from "./params.ts";

/** f32 to half precision; there are no scales. */
export const addHalves: AddEncode = (m) =>
  m.function(4, (f, row, padded, codes, _scales) => {
    const end = f.let(i32.add(row, i32.shl(padded, 2)));
    f.for(row, end, 32, (at) => {
      const [low, high] = [0, 16].map((offset) => f.let(toHalf(f, f.let(v128.load(at, offset)))));
      f.do(v128.store(codes, i16x8.narrow_i32x4_u(low, high)));
      f.bump(codes, 16);
    });
  });

/** Beyond a half's range weights are as large as can be; where it ends below, their scale is 0. */
function clamped(value: V128, inverse: V128): V128 {
  const product = f32x4.mul(value, inverse);
  return rounded(f32x4.pmin(f32x4.pmax(product, f32x4.const(-TOP)), f32x4.const(TOP)));
}

/**
 * f32 to integers of 14 bits in groups of 32. Weights become halves first, so that a checkpoint and a copy of it that
 * is kept in half precision give the same codes. The greatest weight is rounded up to a half, so that its code stays
 * within: as a part of it, half a step is 2^-14, where a half itself may be off by 2^-12.
 */
export const addI14: AddEncode = (m) =>
  m.function(4, (f, row, padded, codes, scales) => {
    const end = f.let(i32.add(row, i32.shl(padded, 2)));
    f.for(row, end, 16, (at) => {
      f.do(v128.store(at, finiteHalf(toHalf(f, f.let(v128.load(at))))));
    });
    f.for(row, end, 4 * GROUP, (at) => {
      const top = greatestOfGroup(f, at);
      const raised = f.let(f32x4.pmin(f32x4.mul(top, f32x4.const(1 + 2 ** -11)), f32x4.const(65504)));
      const half = f.let(toHalf(f, raised));
      f.do(i32.store16(scales, i32x4.extract(half, 0)));
      const inverse = f.let(f32x4.div(f32x4.const(TOP), finiteHalf(half)));
      for (let i = 0; i < 4; i++) {
        const [low, high] = [0, 16].map((half) => clamped(v128.load(at, 32 * i + half), inverse));
        f.do(v128.store(codes, i16x8.narrow_i32x4_s(low, high), 16 * i));
      }
      f.bump(codes, 2 * GROUP);
      f.bump(scales, 2);
    });
  });
