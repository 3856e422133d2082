import { type Call, Module } from "./assembler.ts";
import { i32 } from "./instructions.ts";
import { PANEL } from "./linear.ts";
import { layout, share } from "./params.ts";
import { PAIRS } from "./quantise.ts";
import { interleave } from "./transpose.ts";
import { addWiden } from "./widen.ts";

/**
 * How packing is told what to do: whole panels of rows as a checkpoint stores them, or of codes and scales made
 * before.
 */
export const PACK = layout(
  "source",
  /** Scales of packed rows, half precision; with them the source's are codes. */
  "sourceScales",
  /** 0 for F32, 1 for F16, 2 for BF16, 3 for rows in the packed form. */
  "kind",
  "rows",
  /** Bytes of a row of the source. */
  "sourceStride",
  "depth",
  "padded",
  "to",
  /** Bytes of a padded row's codes and of its scales, and of a panel. */
  "codeBytes",
  "scaleBytes",
  "panelBytes",
  /** An i32 that is made 1 where a weight is not finite. */
  "flag",
  "panels",
  "chunkPanels",
);

/**
 * Turns one row of f32 into codes and scales; adds f(row, padded, codes, scales). PAIRS bytes after the row are free.
 */
export type AddEncode = (m: Module) => Call;

/** Bytes of scratch: a wide row, eight coded ones and their scales. */
export function packScratch(padded: number, codeBytes: number, scaleBytes: number): number {
  return 4 * padded + PAIRS + PANEL * (codeBytes + scaleBytes);
}

/** Rows to panels of eight. */
export function pack(encode?: AddEncode): Module {
  const m = new Module();
  const widen = addWiden(m);
  const encoded = encode?.(m);
  const copy = addCopy(m);
  const interleave = addInterleave(m);
  const interleaveScales = encode && addInterleaveScales(m);
  m.function(3, (f, params, chunk, scratch) => {
    const p = PACK.load(params);
    const codeBytes = f.let(p.codeBytes);
    const scaleBytes = f.let(p.scaleBytes);
    const [first, last] = share(f, chunk, p.chunkPanels, p.panels);
    const codes = scratch;
    const scales = f.let(i32.add(codes, i32.mul(codeBytes, PANEL)));
    const wide = f.let(i32.add(scales, i32.mul(scaleBytes, PANEL)));
    f.for(first, last, 1, (panel) => {
      f.for(0, PANEL, 1, (r) => {
        const row = f.let(i32.add(i32.mul(panel, PANEL), r));
        const source = f.let(i32.add(p.source, i32.mul(row, p.sourceStride)));
        const rowCodes = f.let(i32.add(codes, i32.mul(r, codeBytes)));
        const rowScales = f.let(i32.add(scales, i32.mul(r, scaleBytes)));
        const real = f.let(i32.lt_u(row, p.rows));
        f.when(
          i32.and(real, i32.ne(p.kind, 3)),
          () => {
            f.do(widen(source, p.kind, p.depth, p.padded, encoded ? wide : rowCodes, p.flag));
            if (encoded) f.do(encoded(wide, p.padded, rowCodes, rowScales));
          },
          () => {
            f.do(copy(source, i32.mul(real, p.sourceStride), codeBytes, rowCodes));
            const from = i32.add(p.sourceScales, i32.mul(row, scaleBytes));
            f.do(copy(from, i32.mul(real, scaleBytes), scaleBytes, rowScales));
          },
        );
      });
      const to = f.let(i32.add(p.to, i32.mul(panel, p.panelBytes)));
      f.do(interleave(codes, codeBytes, to));
      if (interleaveScales) f.do(interleaveScales(scales, scaleBytes, i32.add(to, i32.mul(codeBytes, PANEL))));
    });
  });
  return m;
}

/** Adds f(from, have, bytes, to): copies two bytes at a time and fills up with zeros. */
function addCopy(m: Module): Call {
  return m.function(4, (f, from, have, bytes, to) => {
    f.for(0, have, 2, (at) => f.do(i32.store16(i32.add(to, at), i32.load16_u(i32.add(from, at)))));
    f.for(have, bytes, 2, (at) => f.do(i32.store16(i32.add(to, at), 0)));
  });
}

/** Adds f(rows, stride, to): eight rows of `stride` bytes, a multiple of 16, interleaved by words of four bytes. */
function addInterleave(m: Module): Call {
  return m.function(3, (f, rows, stride, to) => {
    const from = [rows];
    for (let r = 1; r < PANEL; r++) from.push(f.let(i32.add(from[r - 1], stride)));
    f.for(0, stride, 16, () => interleave(f, from, to));
  });
}

/** Adds f(rows, stride, to): the same by halves. */
function addInterleaveScales(m: Module): Call {
  return m.function(3, (f, rows, stride, to) => {
    f.for(0, stride, 2, (at) => {
      const from = f.let(i32.add(rows, at));
      for (let r = 0; r < PANEL; r++) {
        f.do(i32.store16(to, i32.load16_u(from), 2 * r));
        f.bump(from, stride);
      }
      f.bump(to, 2 * PANEL);
    });
  });
}
