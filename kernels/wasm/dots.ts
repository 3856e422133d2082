import {
  type Body,
  type Call,
  f32x4,
  i8x16,
  i32,
  i32x4,
  type Local,
  type Module,
  type V128,
  v128,
} from "./assembler.ts";
import { rowPointers } from "./block.ts";
import { SCALES } from "./expand.ts";
import { type Instructions, maddOf } from "./math.ts";

/** Bytes of a row of a panel: words of four bytes, of eight columns. */
const ROW = 32;

/** How x of each arithmetic lies: bytes of a group of 32, and where its own scale and offset are, if it has them. */
export const X_GROUP = {
  /** Two bytes each. */
  i16: { bytes: 64 },
  /** 32 bytes of the high seven bits, 8192 added, then 32 of the low. */
  i8x2: { bytes: 64 },
  /** One byte each, then a scale, f32, and what sums begin with, i32. */
  i8: { bytes: 40, scale: 32, offset: 36 },
} as const;

/** One turn over a group: its sums, as they are to be converted. */
interface Dots {
  readonly groupBytes: number;
  /** Rows of words of a panel that a group has. */
  readonly words: number;
  /** Sets what sums begin with. */
  begin(f: Body, rows: readonly Local<"i32">[], scales: Local<"i32">, sums: readonly Local<"v128">[]): void;
  /** Multiplies one word of a row with those of four columns, and adds. */
  step(x: V128, w: V128, sum: V128): V128;
  /**
   * How often the panel's words are multiplied by as many of x; before the second time sums are shifted by seven bits.
   */
  readonly passes: number;
  /** x has a scale of its own for the group, there. */
  readonly scale?: number;
}

/**
 * Adds f(x, stride, have, codes, bytes, tile, scales) for blocks of `count` rows: integer sums of groups of 32, each converted, scaled and added
 * to f32 sums, which lie in `tile` (eight columns a row); the integers take all registers.
 */
export function addDots(m: Module, kind: keyof typeof DOTS, instructions: Instructions, count: number): Call {
  const dots: Dots = DOTS[kind];
  return m.function(7, (f, x, stride, have, codes, bytes, tile, scales) => {
    const madd = maddOf(instructions);
    const rows = rowPointers(f, count, x, stride, have);
    const sums = Array.from({ length: 2 * count }, () => f.local("v128"));
    const end = f.let(i32.add(x, bytes));
    for (let i = 0; i < sums.length; i++) f.do(v128.store(tile, f32x4.const(0), 16 * i));
    f.repeat(
      () => {
        dots.begin(f, rows, scales, sums);
        for (let pass = 0; pass < dots.passes; pass++) {
          if (pass > 0) {
            for (const sum of sums) f.set(sum, i32x4.shl(sum, 7));
            f.bump(codes, -dots.words * ROW);
          }
          addPass(f, dots, rows, codes, sums);
        }
        // Half a panel after the other, so that few scales are loaded and held.
        for (const half of [0, 1]) {
          const factor = f.let(v128.load(scales, 16 * half));
          for (const [r, row] of rows.entries()) {
            const at = 32 * r + 16 * half;
            const number = f32x4.convert_i32x4_s(sums[2 * r + half]);
            const scaled = dots.scale ? f32x4.mul(number, v128.load32_splat(row, dots.scale - 4 * dots.words)) : number;
            f.do(v128.store(tile, madd(scaled, factor, v128.load(tile, at)), at));
          }
        }
        for (const row of rows) f.bump(row, dots.groupBytes - 4 * dots.words * dots.passes);
        f.bump(scales, SCALES);
      },
      () => i32.ne(x, end),
    );
  });
}

/** Multiplies all words of a group and leaves rows and codes behind them. */
function addPass(
  f: Body,
  dots: Dots,
  rows: readonly Local<"i32">[],
  codes: Local<"i32">,
  sums: readonly Local<"v128">[],
): void {
  const [low, high, element] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const end = f.let(i32.add(codes, dots.words * ROW));
  f.repeat(
    () => {
      f.set(low, v128.load(codes));
      f.set(high, v128.load(codes, 16));
      for (const [r, row] of rows.entries()) {
        f.set(element, v128.load32_splat(row));
        f.set(sums[2 * r], dots.step(element, low, sums[2 * r]));
        f.set(sums[2 * r + 1], dots.step(element, high, sums[2 * r + 1]));
        f.bump(row, 4);
      }
      f.bump(codes, ROW);
    },
    () => i32.ne(codes, end),
  );
}

/** Sums begin with what the panel says of a column: x lies above what it means. */
const beginOfColumns: Dots["begin"] = (f, _, scales, sums) => {
  for (const half of [0, 1]) {
    f.set(sums[half], v128.load(scales, 32 + 16 * half));
    for (let i = half + 2; i < sums.length; i += 2) f.set(sums[i], sums[half]);
  }
};

/** Rows of the blocks, as many as leave every sum in a register. */
export const DOT_ROWS = { i16: 4, i8x2: 6, i8: 6 } as const;

const groups = { groupBytes: X_GROUP.i8.bytes, words: 8, passes: 1, scale: X_GROUP.i8.scale };

/** How x of each arithmetic is multiplied; `nibbles` are weights of 4 bits. */
const DOTS = {
  /** x and weights of 14 bits, or fewer, in two bytes: 32 products stay below 2^31. */
  i16: {
    ...{ groupBytes: X_GROUP.i16.bytes, words: 16, passes: 1 },
    begin: (f, _, __, sums) => {
      for (const sum of sums) f.set(sum, i32x4.const(0));
    },
    step: (x, w, sum) => i32x4.add(i32x4.dot_i16x8_s(x, w), sum),
  },
  /** Weights of 8 bits, x of 14 in two unsigned planes of 7. */
  i8x2: {
    ...{ groupBytes: X_GROUP.i8x2.bytes, words: 8, passes: 2 },
    begin: beginOfColumns,
    step: (x, w, sum) => i8x16.relaxed_dot_add(w, x, sum),
  },
  /** Weights of 8 bits, x unsigned: 7 bits, or 8 where the dot takes them. */
  i8: { ...groups, begin: beginOfColumns, step: (x, w, sum) => i8x16.relaxed_dot_add(w, x, sum) },
  /** Weights of 4 bits, unsigned, 8 above themselves; x of 8 bits, signed. */
  nibbles: {
    ...groups,
    begin: (f, rows, _, sums) => {
      for (const [r, row] of rows.entries()) {
        f.set(sums[2 * r], v128.load32_splat(row, X_GROUP.i8.offset));
        f.set(sums[2 * r + 1], sums[2 * r]);
      }
    },
    step: (x, w, sum) => i8x16.relaxed_dot_add(x, w, sum),
  },
} satisfies Record<string, Dots>;
