import type { Body, Call, Module } from "./assembler.ts";
import { SCALES } from "./expand.ts";
import { f32x4, i8x16, i32, i32x4, type Local, type V128, v128 } from "./instructions.ts";
import { type Instructions, type Madd, maddOf } from "./math.ts";

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
interface Block {
  /** Rows of words of a panel that a group has; 0 where all are one group. */
  readonly words: number;
  /** Sets what sums begin with. */
  begin(f: Body, rows: readonly Local<"i32">[], scales: Local<"i32">, sums: readonly Local<"v128">[]): void;
  /** Multiplies one word of a row with those of four columns, and adds. */
  step(x: V128, w: V128, sum: V128, madd: Madd): V128;
  /**
   * How often the panel's words are multiplied by as many of x; before the second time sums are shifted by seven bits.
   */
  readonly passes: number;
  /** Bytes behind a group of x, which begin with a scale of its own; 0 where it has none. */
  readonly more: number;
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
    rows.push(f.let(i32.add(rows[r - 1], i32.mul(stride, i32.gt_u(have, r)))));
  }
  return rows;
}

/**
 * Adds f(x, stride, have, codes, bytes, tile, scales) for blocks of `count` rows: `sum over k of x[r][k] w[k][c]`, for
 * the eight columns of a panel, in f32, to `tile` (eight columns a row); `bytes` is that of a row of x. Sums of integers
 * are converted, scaled and added group by group, as they take all registers.
 */
export function addBlock(
  m: Module,
  kind: BlockKind,
  instructions: Instructions,
  count = blockRows(kind, instructions),
): Call {
  const block: Block = BLOCKS[kind];
  const { words, passes } = block;
  return m.function(7, (f, x, stride, have, codes, bytes, tile, scales) => {
    const panelBytes = f.local("i32");
    f.set(panelBytes, words ? words * ROW : i32.mul(bytes, ROW / 4 / passes));
    const madd = maddOf(instructions);
    const rows = rowPointers(f, count, x, stride, have);
    const sums = Array.from({ length: 2 * count }, () => f.local("v128"));
    const end = f.let(i32.add(x, bytes));
    const zero = f32x4.const(0);
    for (let i = 0; i < sums.length; i++) f.do(v128.store(tile, zero, 16 * i));
    f.repeat(
      () => {
        block.begin(f, rows, scales, sums);
        for (let pass = 0; pass < passes; pass++) {
          if (pass > 0) {
            for (const sum of sums) f.set(sum, i32x4.shl(sum, 7));
            f.set(codes, i32.sub(codes, panelBytes));
          }
          addPass(f, block, rows, codes, panelBytes, sums, madd);
        }
        // Half a panel after the other, so that few scales are loaded and held.
        for (const half of [0, 1]) {
          const factor = f.local("v128");
          if (kind !== "f32") f.set(factor, v128.load(scales, 16 * half));
          for (const [r, row] of rows.entries()) {
            const at = 32 * r + 16 * half;
            const sum = sums[2 * r + half];
            if (kind === "f32") f.do(v128.store(tile, sum, at));
            else {
              const number = f32x4.convert_i32x4_s(sum);
              const scaled = block.more ? f32x4.mul(number, v128.load32_splat(row)) : number;
              f.do(v128.store(tile, madd(scaled, factor, v128.load(tile, at)), at));
            }
          }
        }
        for (const row of rows) f.bump(row, block.more);
        f.bump(scales, SCALES);
      },
      () => i32.ne(x, end),
    );
  });
}

/** Multiplies all words of a group and leaves rows and codes behind them. */
function addPass(
  f: Body,
  block: Block,
  rows: readonly Local<"i32">[],
  codes: Local<"i32">,
  panelBytes: Local<"i32">,
  sums: readonly Local<"v128">[],
  madd: Madd,
): void {
  const [low, high, element] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const end = f.let(i32.add(codes, panelBytes));
  f.repeat(
    () => {
      f.set(low, v128.load(codes));
      f.set(high, v128.load(codes, 16));
      for (const [r, row] of rows.entries()) {
        f.set(element, v128.load32_splat(row));
        f.set(sums[2 * r], block.step(element, low, sums[2 * r], madd));
        f.set(sums[2 * r + 1], block.step(element, high, sums[2 * r + 1], madd));
        f.bump(row, 4);
      }
      f.bump(codes, ROW);
    },
    () => i32.ne(codes, end),
  );
}

/** Sums begin with what the panel says of a column: x lies above what it means. */
const beginOfColumns: Block["begin"] = (f, _, scales, sums) => {
  for (const half of [0, 1]) {
    f.set(sums[half], v128.load(scales, 32 + 16 * half));
    for (let i = half + 2; i < sums.length; i += 2) f.set(sums[i], sums[half]);
  }
};

/** x of 8 bits: its scale and what sums begin with come after a group. */
const groups = { words: 8, passes: 1, more: X_GROUP.i8.bytes - X_GROUP.i8.scale };

const beginWithZeros: Block["begin"] = (f, _, __, sums) => {
  for (const sum of sums) f.set(sum, i32x4.const(0));
};

const dotOfBytes: Block["step"] = (x, w, sum) => i8x16.relaxed_dot_add(w, x, sum);

/** Rows of a block: as many as leave every sum and all else that the loop holds in x64's registers. */
export function blockRows(kind: BlockKind, { madd }: Instructions): number {
  return kind === "i16" || (kind === "f32" && !madd) ? 4 : 6;
}

/** How x of each arithmetic is multiplied; `nibbles` are weights of 4 bits, `planes` are as i8x2 without groups. */
const BLOCKS = {
  f32: { words: 0, passes: 1, more: 0, begin: beginWithZeros, step: (x, w, sum, madd) => madd(x, w, sum) },
  /** x and weights of 14 bits, or fewer, in two bytes: 32 products stay below 2^31. */
  i16: {
    ...{ words: 16, passes: 1, more: 0, begin: beginWithZeros },
    step: (x, w, sum) => i32x4.add(i32x4.dot_i16x8_s(x, w), sum),
  },
  /** Weights of 8 bits, x of 14 in two unsigned planes of 7. */
  i8x2: { words: 8, passes: 2, more: 0, begin: beginOfColumns, step: dotOfBytes },
  planes: { words: 0, passes: 2, more: 0, begin: beginOfColumns, step: dotOfBytes },
  /** Weights of 8 bits, x unsigned: 7 bits, or 8 where the dot takes them. */
  i8: { ...groups, begin: beginOfColumns, step: dotOfBytes },
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
} satisfies Record<string, Block>;

export type BlockKind = keyof typeof BLOCKS;
