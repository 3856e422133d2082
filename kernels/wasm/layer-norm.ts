import { Module } from "./assembler.ts";
import { type Expr, f32, f32x4, i32, type V128, v128 } from "./instructions.ts";
import { type Instructions, maddOf } from "./math.ts";
import { asFloat, layout, share } from "./params.ts";

/** How a layer norm is told what to do. Strides are bytes, `eps` a float's bits; a chunk takes `chunkRows` rows. */
export const LAYER_NORM = layout(
  "x",
  "xStride",
  "rows",
  "width",
  "weight",
  "bias",
  "eps",
  "y",
  "yStride",
  "padded",
  "chunkRows",
);

/** The sum of four lanes, always in the same order. */
export function total(sums: V128): Expr<"f32"> {
  const lane = (i: number) => f32x4.extract(sums, i);
  return f32.add(f32.add(lane(0), lane(1)), f32.add(lane(2), lane(3)));
}

/**
 * `(x - mean) / sqrt(variance + eps) * weight + bias`. The variance is that of the differences from the mean: E[x²] -
 * E[x]² cancels where one feature is a hundred times the others. x, weight and bias are padded with zeros, and so is
 * y.
 */
export function layerNorm(instructions: Instructions): Module {
  const m = new Module();
  const madd = maddOf(instructions);
  m.function(3, (f, params, chunk, _scratch) => {
    const p = LAYER_NORM.load(params);
    const width = f.let(p.width);
    const weight = f.let(p.weight);
    const bias = f.let(p.bias);
    const count = f.let(f32.convert_i32_u(width));
    const wide = f.let(i32.shl(p.padded, 2));
    const whole = f.let(i32.shl(i32.and(width, -4), 2));
    const bytes = f.let(i32.shl(width, 2));
    const [top, bottom] = share(f, chunk, p.chunkRows, p.rows);
    f.for(top, bottom, 1, (row) => {
      const x = f.let(i32.add(p.x, i32.mul(row, p.xStride)));
      const y = f.let(i32.add(p.y, i32.mul(row, p.yStride)));
      // Two sums in turn, of 32 bytes at a time: the padding adds nothing here.
      const sums = [f.let(f32x4.const(0)), f.let(f32x4.const(0))];
      f.for(0, wide, 32, (at) => {
        for (const [i, sum] of sums.entries()) f.set(sum, f32x4.add(sum, v128.load(i32.add(x, at), 16 * i)));
      });
      const mean = f.let(f32.div(total(f.let(f32x4.add(sums[0], sums[1]))), count));
      const means = f.let(f32x4.splat(mean));
      const squares = f.let(f32x4.const(0));
      f.for(0, whole, 16, (at) => {
        const difference = f.let(f32x4.sub(v128.load(i32.add(x, at)), means));
        f.set(squares, madd(difference, difference, squares));
      });
      const variance = f.let(total(squares));
      f.for(whole, bytes, 4, (at) => {
        const difference = f.let(f32.sub(f32.load(i32.add(x, at)), mean));
        f.set(variance, f32.add(variance, f32.mul(difference, difference)));
      });
      const deviation = f32.sqrt(f32.add(f32.div(variance, count), asFloat(p.eps)));
      const scale = f.let(f32x4.splat(f32.div(f32.const(1), deviation)));
      f.for(0, wide, 16, (at) => {
        const normal = f32x4.mul(f32x4.sub(v128.load(i32.add(x, at)), means), scale);
        f.do(v128.store(i32.add(y, at), madd(normal, v128.load(i32.add(weight, at)), v128.load(i32.add(bias, at)))));
      });
    });
  });
  return m;
}
