import { f32, f32x4, i32, Module, min, v128 } from "./assembler.ts";
import { layout } from "./params.ts";

/** How a mean over tokens is told what to do. Strides are bytes; a chunk is one item. */
export const MEAN = layout(
  "x",
  "xStride",
  "tokens",
  /** How many tokens of each item count, i32 [batch], 1 at least; 0 where all do. */
  "lengths",
  "y",
  "yStride",
  "padded",
);

/** The mean of an item's tokens: [batch, tokens, width] to [batch, width]. */
export function mean(): Module {
  const m = new Module();
  m.function(["i32", "i32", "i32"], (f, params, item, _scratch) => {
    const p = MEAN.load(params);
    const { xStride, tokens } = MEAN.keep(f, params, "xStride", "tokens");
    const x = f.let(i32.add(p.x, i32.mul(i32.mul(item, tokens), xStride)));
    const y = f.let(i32.add(p.y, i32.mul(item, p.yStride)));
    f.when(p.lengths, () => f.set(tokens, min(tokens, f.let(i32.load(i32.add(p.lengths, i32.shl(item, 2)))))));
    const wide = f.let(i32.shl(p.padded, 2));
    const count = f.let(f32x4.splat(f32.convert_i32_u(tokens)));
    f.for(0, wide, 16, (at) => {
      const from = f.let(i32.add(x, at));
      const sum = f.let(f32x4.const(0));
      f.for(0, tokens, 1, () => {
        f.set(sum, f32x4.add(sum, v128.load(from)));
        f.bump(from, xStride);
      });
      f.do(v128.store(i32.add(y, at), f32x4.div(sum, count)));
    });
  });
  return m;
}
