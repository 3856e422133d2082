import { type Body, type Call, i32, int, type Local, type Module, select, v128 } from "./assembler.ts";
import { type Instructions, maddOf } from "./math.ts";

/** Rows of a block of f32: as many sums as leave all that the loop holds in x64's registers. */
export function blockRows(madd: boolean): number {
  return madd ? 6 : 4;
}

/**
 * Pointers to `count` rows, the first at `x`, `stride` bytes apart; where there are only `have`, the last is repeated,
 * so that nothing beyond is read.
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
 * `out[r][c] = sum over k of x[r][k] w[k][c]` for a block of rows and the eight columns of a panel: f(x, stride, have,
 * w, bytes, out, outStride). `bytes` is four times the depth, 1 at least. All rows of `out` are written. The loop is
 * not unrolled: engines that schedule instructions spill sums over where a turn is long, and the others gain nothing.
 */
export function addBlock(m: Module, { madd }: Pick<Instructions, "madd">): Call {
  return m.function(7, (f, x, stride, have, w, bytes, out, outStride) => {
    const multiply = maddOf({ madd });
    const rows = rowPointers(f, blockRows(madd), x, stride, have);
    const sums = rows.map(() => [f.local("v128"), f.local("v128")]);
    const end = f.let(i32.add(x, bytes));
    const [low, high, element] = [f.local("v128"), f.local("v128"), f.local("v128")];
    f.repeat(
      () => {
        f.set(low, v128.load(w));
        f.set(high, v128.load(w, 16));
        for (const [r, row] of rows.entries()) {
          f.set(element, v128.load32_splat(row));
          f.set(sums[r][0], multiply(element, low, sums[r][0]));
          f.set(sums[r][1], multiply(element, high, sums[r][1]));
        }
        for (const row of rows) f.bump(row, 4);
        f.bump(w, 32);
      },
      () => i32.ne(x, end),
    );
    for (const [left, right] of sums) {
      f.do(v128.store(out, left), v128.store(out, right, 16));
      f.bump(out, outStride);
    }
  });
}
