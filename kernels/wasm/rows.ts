import { Module } from "./assembler.ts";
import { i32, v128 } from "./instructions.ts";
import { layout, share } from "./params.ts";

/** How copying rows is told what to do. Strides are bytes; a chunk takes `chunkRows` rows. */
export const ROWS = layout(
  "x",
  "xStride",
  /** Which row of x each row of y is, i32 [rows]. */
  "indices",
  "rows",
  "y",
  "yStride",
  "padded",
  "chunkRows",
);

/** Picks rows. */
export function rows(): Module {
  const m = new Module();
  m.function(3, (f, params, chunk, _scratch) => {
    const p = ROWS.load(params);
    const wide = f.let(i32.shl(p.padded, 2));
    const [top, bottom] = share(f, chunk, p.chunkRows, p.rows);
    f.for(top, bottom, 1, (row) => {
      const x = f.let(i32.add(p.x, i32.mul(i32.load(i32.add(p.indices, i32.shl(row, 2))), p.xStride)));
      const y = f.let(i32.add(p.y, i32.mul(row, p.yStride)));
      f.for(0, wide, 16, (at) => f.do(v128.store(i32.add(y, at), v128.load(i32.add(x, at)))));
    });
  });
  return m;
}
