import { Module } from "./assembler.ts";
import { i32 } from "./instructions.ts";
import type { AddEncode } from "./pack.ts";
import { layout, share } from "./params.ts";
import { addWiden } from "./widen.ts";

/** How rounding rows is told what to do; see PACK. Codes and scales of a row follow those of the one before. */
export const PACK_ROWS = layout(
  "source",
  "kind",
  "rows",
  "sourceStride",
  "depth",
  "padded",
  "to",
  "toScales",
  "codeBytes",
  "scaleBytes",
  "flag",
  "chunkRows",
);

/** Rows as a checkpoint stores them to padded rows of codes, row by row, and their scales. */
export function packRows(encode?: AddEncode): Module {
  const m = new Module();
  const widen = addWiden(m);
  const encoded = encode?.(m);
  m.function(3, (f, params, chunk, scratch) => {
    const p = PACK_ROWS.load(params);
    const [top, bottom] = share(f, chunk, p.chunkRows, p.rows);
    f.for(top, bottom, 1, (row) => {
      const source = i32.add(p.source, i32.mul(row, p.sourceStride));
      const to = f.let(i32.add(p.to, i32.mul(row, p.codeBytes)));
      f.do(widen(source, p.kind, p.depth, p.padded, encoded ? scratch : to, p.flag));
      if (encoded) f.do(encoded(scratch, p.padded, to, i32.add(p.toScales, i32.mul(row, p.scaleBytes))));
    });
  });
  return m;
}
