import type { Body } from "./assembler.ts";
import { i32x4, type Local, type V128, v128 } from "./instructions.ts";

/** Four vectors of four 32-bit lanes, rows made columns. */
function transpose(f: Body, rows: readonly V128[]): Local<"v128">[] {
  const [a, b, c, d] = rows.map((row) => f.let(row));
  const pairs = (low: Local<"v128">, high: Local<"v128">) => [
    f.let(i32x4.shuffle(low, high, [0, 4, 1, 5])),
    f.let(i32x4.shuffle(low, high, [2, 6, 3, 7])),
  ];
  const [ab0, ab2] = pairs(a, b);
  const [cd0, cd2] = pairs(c, d);
  return [
    f.let(i32x4.shuffle(ab0, cd0, [0, 1, 4, 5])),
    f.let(i32x4.shuffle(ab0, cd0, [2, 3, 6, 7])),
    f.let(i32x4.shuffle(ab2, cd2, [0, 1, 4, 5])),
    f.let(i32x4.shuffle(ab2, cd2, [2, 3, 6, 7])),
  ];
}

/** Sixteen bytes of each of eight rows to `to`, interleaved by words of four; all pointers move on behind them. */
export function interleave(f: Body, rows: readonly Local<"i32">[], to: Local<"i32">): void {
  for (const half of [0, 4]) {
    const columns = transpose(
      f,
      [0, 1, 2, 3].map((i) => v128.load(rows[half + i])),
    );
    for (const [i, lanes] of columns.entries()) f.do(v128.store(to, lanes, 32 * i + 4 * half));
  }
  for (const row of rows) f.bump(row, 16);
  f.bump(to, 16 * rows.length);
}
