import { type Body, type Call, i32, i32x4, int, type Local, type Module, select, v128 } from "./assembler.ts";
import { maddOf } from "./math.ts";

/** How f32 rows and panels are multiplied: as many sums as the registers of x64 hold, without one that is spilled. */
export interface Block {
  /** Rows of x in a block. */
  readonly rows: number;
  /** x lies in packed groups of four rows, column by column, instead of row by row. */
  readonly packed: boolean;
}

/** Steps along the depth in one turn of the loop. */
const UNROLL = 4;

/** Blocks of row-major x: with multiply-add one register fewer is in use at a time. */
export function blockOf(madd: boolean): Block {
  return madd ? { rows: 6, packed: false } : { rows: 5, packed: false };
}

/**
 * Pointers to `count` rows, the first at `x`, `stride` bytes apart; where there are only `have`, the last is repeated, so
 * that nothing beyond is read.
 */
export function rowPointers(
  f: Body,
  count: number,
  x: Local<"i32">,
  stride: Local<"i32">,
  have: Local<"i32">,
): Local<"i32">[] {
  const rows = [x];
  for (let r = 1; r < count; r++) {
    rows.push(f.let(i32.add(rows[r - 1], select(stride, int(0), i32.gt_u(have, r)))));
  }
  return rows;
}

/**
 * `out[r][c] = sum over k of x[r][k] w[k][c]` for a block of rows and the eight columns of a panel: f(x, stride, have, w,
 * bytes, out, outStride). `bytes` is four times the depth, a multiple of four. All rows of `out` are written.
 */
export function addBlock(m: Module, block: Block, madd: boolean): Call {
  return m.function(
    ["i32", "i32", "i32", "i32", "i32", "i32", "i32"],
    (f, x, stride, have, w, bytes, out, outStride) => {
      const multiply = maddOf({ madd });
      const rows = block.packed ? [x] : rowPointers(f, block.rows, x, stride, have);
      const sums = Array.from({ length: 2 * block.rows }, () => f.local("v128"));
      const end = f.let(i32.add(x, block.packed ? i32.mul(bytes, block.rows) : bytes));
      const [low, high, four] = [f.local("v128"), f.local("v128"), f.local("v128")];
      const element = f.local("v128");
      f.repeat(
        () => {
          for (let k = 0; k < UNROLL; k++) {
            f.set(low, v128.load(w, 32 * k));
            f.set(high, v128.load(w, 32 * k + 16));
            if (block.packed) f.set(four, v128.load(x, 16 * k));
            for (let r = 0; r < block.rows; r++) {
              f.set(
                element,
                block.packed ? i32x4.shuffle(four, four, [r, r, r, r]) : v128.load32_splat(rows[r], 4 * k),
              );
              f.set(sums[2 * r], multiply(element, low, sums[2 * r]));
              f.set(sums[2 * r + 1], multiply(element, high, sums[2 * r + 1]));
            }
          }
          for (const row of rows) f.bump(row, block.packed ? 16 * UNROLL : 4 * UNROLL);
          f.bump(w, 32 * UNROLL);
        },
        () => i32.ne(x, end),
      );
      for (let r = 0; r < block.rows; r++) {
        f.do(v128.store(out, sums[2 * r]), v128.store(out, sums[2 * r + 1], 16));
        f.bump(out, outStride);
      }
    },
  );
}
