import { greatestLane, storePlanes } from "./activations.ts";
import type { Body, Call, Module } from "./assembler.ts";
import { type Expr, f32, f32x4, i32, type Local, v128 } from "./instructions.ts";
import { total } from "./layer-norm.ts";
import { PANEL } from "./linear.ts";
import { exp2, type Instructions, maddOf } from "./math.ts";
import { asFloat } from "./params.ts";

/** How attention multiplies: what tells its forms apart. All pointers are addresses, all strides bytes. */
export interface AttentionParts {
  /** Rows of a block of queries. */
  readonly rows: number;
  /** Bytes with which a panel begins, before its words. */
  readonly begin: number;
  /** Bytes of an element of a row that is multiplied: a float, or 14 bits in two planes. */
  readonly element: 2 | 4;
  /** f(x, stride, rows, columns, to, above): rows in panels of eight; `above` times their sums is what others lie above. */
  readonly pack: Call;
  /** f(q, stride, have, head, scale, to): queries with the scores' factor behind each, 16 bytes apart, if they change. */
  readonly packQueries?: Call;
  /** f(x, stride, have, panel, bytes, to): what rows and the eight columns of a panel make, in f32, row by row. */
  readonly multiply: Call;
}

export const roundUp = (value: Expr<"i32">, to: number) => i32.and(i32.add(value, to - 1), -to);

/** f32 rows made columns, filled with zeros to a multiple of eight. */
export function addTranspose(
  f: Body,
  x: Expr<"i32">,
  stride: Expr<"i32">,
  rows: Local<"i32">,
  columns: Local<"i32">,
  to: Expr<"i32">,
): void {
  const from = f.let(x);
  const high = f.let(roundUp(rows, PANEL));
  const bytes = f.let(i32.shl(columns, 2));
  f.for(0, high, 1, (row) => {
    const column = f.let(i32.add(to, i32.shl(row, 2)));
    f.for(0, bytes, 4, (at) => {
      const value = i32.mul(i32.load(i32.add(from, at)), i32.lt_u(row, rows));
      f.do(i32.store(i32.add(column, i32.mul(at, high)), value));
    });
    f.bump(from, i32.mul(stride, i32.lt_u(i32.add(row, 1), rows)));
  });
}

/**
 * Adds f(scores, keys, to, inverse, factor): e^(factor (score - greatest)) of one row of tiles of `rows` rows, 0 beyond
 * the last key, and 1 over their sum. As integers they are of 14 bits, unsigned. The factor is a float's bits.
 */
export function addSoftmax(m: Module, instructions: Instructions, rows: number, integers: boolean): Call {
  return m.function(5, (f, scores, keys, to, inverse, bits) => {
    const madd = maddOf(instructions);
    const step = 4 * PANEL * rows;
    const wide = f.let(roundUp(keys, PANEL));
    const end = f.let(i32.add(scores, i32.mul(i32.shr_u(wide, 3), step)));
    const last = f.let(i32.sub(end, i32.add(step, i32.shl(i32.sub(wide, PANEL), 2))));
    const wideBytes = f.let(i32.shl(wide, 2));
    f.for(i32.shl(keys, 2), wideBytes, 4, (at) => f.do(f32.store(i32.add(last, at), f32.const(-1e38))));
    const tops = [f.let(f32x4.const(-1e38)), f.let(f32x4.const(-1e38))];
    f.for(scores, end, step, (at) => {
      for (const [i, top] of tops.entries()) f.set(top, f32x4.pmax(top, v128.load(at, 16 * i)));
    });
    const top = f.let(f32x4.pmax(tops[0], tops[1]));
    greatestLane(f, top, f32x4.pmax);
    // Never so small that what lies beyond the last key weighs something.
    const scale = f32x4.splat(f32.mul(asFloat(bits), f32.const(Math.LOG2E)));
    const factor = f.let(f32x4.pmax(scale, f32x4.const(2 ** -100)));
    const sum = f.let(f32x4.const(0));
    f.for(scores, end, step, (at) => {
      const powers = [0, 16].map((half) =>
        f.let(exp2(f, madd, f32x4.mul(f32x4.sub(v128.load(at, half), top), factor), integers ? WHOLE : 1)),
      );
      for (const power of powers) f.set(sum, f32x4.add(sum, power));
      if (integers) storePlanes(f, powers, 0, to, wide);
      else for (const [i, power] of powers.entries()) f.do(v128.store(to, power, 16 * i));
      f.bump(to, integers ? PANEL : 4 * PANEL);
    });
    f.do(f32.store(inverse, f32.div(f32.const(1), total(sum))));
  });
}

/** The greatest integer of 14 bits, unsigned. */
const WHOLE = 2 ** 14 - 1;
