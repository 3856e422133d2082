import { type Call, Module } from "./assembler.ts";
import { addBlock, type BlockKind, blockRows } from "./block.ts";
import { type AddExpand, SCALES } from "./expand.ts";
import { f32x4, i32, min, v128 } from "./instructions.ts";
import { gelu, type Instructions, maddOf } from "./math.ts";
import { layout, share } from "./params.ts";

/** Columns of y that are made together: those whose weights lie in one panel. */
export const PANEL = 8;

/** What tells the forms of a linear map apart. */
export interface LinearParts {
  /** How a block is multiplied. */
  readonly kind: BlockKind;
  /** What makes a stored panel what is multiplied. Without it that is the stored one. */
  readonly expand?: AddExpand;
  /** What makes a stored panel's scales those of the block, if it has any. */
  readonly scale?: AddExpand;
  /** Sums are to be multiplied by a scale of the row of x. */
  readonly rowScales: boolean;
}

/** How a linear step is told what to do. Strides are bytes. */
export const LINEAR = layout(
  "x",
  "xStride",
  "rows",
  /** Bytes of a row of x that are multiplied. */
  "xBytes",
  /** Groups of 32 along the depth, padded. */
  "groups",
  /** Row scales, f32 [rows]. */
  "scales",
  "weight",
  "panelBytes",
  /** Of a panel's codes; its scales follow. */
  "codeBytes",
  /** [out], padded with zeros. */
  "bias",
  "y",
  "yStride",
  /** 0 or 1. */
  "gelu",
  /** 0 for none. */
  "add",
  "addStride",
  /** Rows of the addend, which repeats. */
  "addRows",
  /** Panels with weights, and those of y's row, whose columns beyond are filled with zeros. */
  "panels",
  "yPanels",
  /** A chunk takes so many rows of so many panels; chunks run along the panels first. */
  "chunkRows",
  "chunkPanels",
  "panelChunks",
);

/** Bytes of the block's sums, with which a thread's scratch begins; the scales follow, then the expanded panel. */
const TILE = 256;

/** Rows that are few: a block takes longer than one by one. */
const FEW = 2;

/** Bytes of scratch where a group's expanded codes take so many. */
export function linearScratch(groups: number, expandedBytes: number): number {
  return TILE + groups * (SCALES + expandedBytes);
}

/** `y = x Wᵀ + bias`, then GELU, then an addend: a panel of weights stays in the cache while all rows of x pass it. */
export function linear(parts: LinearParts, instructions: Instructions): Module {
  const m = new Module();
  const { kind } = parts;
  const rows = blockRows(kind, instructions);
  const multiply = addBlock(m, kind, instructions);
  // Few rows are multiplied one by one rather than as a block that is mostly empty; the sums are the same.
  const single = kind === "f32" ? undefined : addBlock(m, kind, instructions, 1);
  const expand = parts.expand?.(m);
  const scale = parts.scale?.(m);
  const finish = addFinish(m, parts.rowScales, instructions);
  m.function(3, (f, params, chunk, tile) => {
    const p = LINEAR.load(params);
    const x = f.let(p.x);
    const xStride = f.let(p.xStride);
    const xBytes = f.let(p.xBytes);
    const panels = f.let(p.panels);
    const [first, last] = share(f, i32.rem_u(chunk, p.panelChunks), p.chunkPanels, p.yPanels);
    const [top, bottom] = share(f, i32.div_u(chunk, p.panelChunks), p.chunkRows, p.rows);
    const scales = f.let(i32.add(tile, TILE));
    const expanded = f.let(i32.add(scales, i32.mul(p.groups, SCALES)));
    f.for(first, last, 1, (panel) => {
      const inside = f.let(i32.lt_u(panel, panels));
      const codes = f.let(i32.add(p.weight, i32.mul(panel, p.panelBytes)));
      const stored = f.let(i32.add(codes, p.codeBytes));
      f.when(inside, () => {
        if (scale) f.do(scale(codes, stored, p.groups, scales));
        if (expand) {
          f.do(expand(codes, stored, p.groups, expanded));
          f.set(codes, expanded);
        }
      });
      f.for(top, bottom, rows, (row) => {
        const have = f.let(min(i32.sub(bottom, row), rows));
        f.when(
          inside,
          () => {
            const from = f.let(i32.add(x, i32.mul(row, xStride)));
            const block = () => f.do(multiply(from, xStride, have, codes, xBytes, tile, scales));
            if (single) {
              f.when(
                i32.lt_u(have, FEW + 1),
                () =>
                  f.for(0, have, 1, (r) => {
                    const to = i32.add(tile, i32.mul(r, 4 * PANEL));
                    f.do(single(from, xStride, 1, codes, xBytes, to, scales));
                    f.bump(from, xStride);
                  }),
                block,
              );
            } else block();
            f.do(finish(params, tile, row, have, panel));
          },
          () => {
            const y = f.let(i32.add(i32.add(p.y, i32.mul(row, p.yStride)), i32.mul(panel, 4 * PANEL)));
            f.for(0, have, 1, () => {
              f.do(v128.store(y, f32x4.const(0)), v128.store(y, f32x4.const(0), 16));
              f.bump(y, p.yStride);
            });
          },
        );
      });
    });
  });
  return m;
}

/** Adds f(params, tile, row, have, panel): what happens to sums between the tile and y. */
function addFinish(m: Module, rowScales: boolean, instructions: Instructions): Call {
  return m.function(5, (f, params, tile, row, have, panel) => {
    const p = LINEAR.load(params);
    const madd = maddOf(instructions);
    const column = f.let(i32.mul(panel, 4 * PANEL));
    const y = f.let(i32.add(i32.add(p.y, i32.mul(row, p.yStride)), column));
    const bias = f.let(i32.add(p.bias, column));
    const yStride = f.let(p.yStride);
    const add = f.let(p.add);
    f.for(0, have, 1, (r) => {
      const scale = f.local("v128");
      if (rowScales) f.set(scale, v128.load32_splat(i32.add(p.scales, i32.shl(i32.add(row, r), 2))));
      const halves = [0, 16].map((half) => {
        const sum = v128.load(tile, half);
        const offset = v128.load(bias, half);
        return f.let(rowScales ? madd(sum, scale, offset) : f32x4.add(sum, offset));
      });
      f.when(p.gelu, () => {
        for (const half of halves) f.set(half, gelu(f, madd, half));
      });
      f.when(add, () => {
        const from = f.let(i32.add(column, i32.mul(i32.rem_u(i32.add(row, r), p.addRows), p.addStride)));
        f.bump(from, add);
        for (const [i, half] of halves.entries()) f.set(half, f32x4.add(half, v128.load(from, 16 * i)));
      });
      for (const [i, half] of halves.entries()) f.do(v128.store(y, half, 16 * i));
      f.bump(tile, 4 * PANEL);
      f.bump(y, yStride);
    });
  });
}
