import { f32, f32x4, i32, Module, v128 } from "./assembler.ts";
import { addLength, layout } from "./params.ts";

/** How a mean over tokens is told what to do. Strides are bytes; a chunk is one item. */
export const MEAN = layout(
  "x",
  "xStride",
  "tokens",
  /** How many tokens of each item count, whole f32 [batch]; 0 where all do. */
  "lengths",
  "y",
  "yStride",
  "padded",
);

/** Vectors that are summed at a time: two lines of the cache, and padded rows hold whole ones. */
const VECTORS = 8;

/** The mean of an item's tokens: [batch, tokens, width] to [batch, width]. */
export function mean(): Module {
  const m = new Module();
  m.function(["i32", "i32", "i32"], (f, params, item, _scratch) => {
    const p = MEAN.load(params);
    const { xStride } = MEAN.keep(f, params, "xStride");
    const x = f.let(i32.add(p.x, i32.mul(i32.mul(item, p.tokens), xStride)));
    const y = f.let(i32.add(p.y, i32.mul(item, p.yStride)));
    const tokens = addLength(f, p.lengths, item, p.tokens);
    const wide = f.let(i32.shl(p.padded, 2));
    const count = f.let(f32x4.splat(f32.convert_i32_u(tokens)));
    f.for(0, wide, 16 * VECTORS, (at) => {
      const from = f.let(i32.add(x, at));
      const sums = Array.from({ length: VECTORS }, () => f.let(f32x4.const(0)));
      f.for(0, tokens, 1, () => {
        for (const [i, sum] of sums.entries()) f.set(sum, f32x4.add(sum, v128.load(from, 16 * i)));
        f.bump(from, xStride);
      });
      for (const [i, sum] of sums.entries()) f.do(v128.store(i32.add(y, at), f32x4.div(sum, count), 16 * i));
    });
  });
  return m;
}
