import { type Body, Module } from "./assembler.ts";
import { X_GROUP } from "./block.ts";
import { type Expr, f32x4, type I32, i8x16, i16x8, i32, i32x4, type Local, type V128, v128 } from "./instructions.ts";
import { ALIGN } from "./math.ts";
import { GROUP, layout, share } from "./params.ts";

/** How rounding x to integers is told what to do. Strides are bytes; a chunk takes `chunkRows` rows. */
export const ACTIVATIONS = layout(
  "x",
  "xStride",
  "rows",
  /** Bytes of a padded row of x. */
  "bytes",
  "to",
  "toStride",
  /** Row scales, f32 [rows], where groups have none. */
  "scales",
  "chunkRows",
);

/**
 * What x becomes. `i8` has a scale a group, unsigned with 64 or 128 added (7 or 8 bits) for weights of 8 bits, or
 * signed and with even elements of eight before odd ones for weights of 4.
 */
export type ActivationForm = "i16" | "i8x2" | "i8-7" | "i8-8" | "i8-signed";

/** The greatest integer of 14 bits. */
export const TOP = 8191;

/**
 * The greatest magnitude of all lanes, in each; not a number where one is not. As integers, magnitudes keep their
 * order.
 */
function greatest(f: Body, vectors: readonly V128[]): Local<"v128"> {
  const most = f.let(vectors.map((lanes) => f32x4.abs(lanes)).reduce((a, b) => i32x4.max_u(a, b)));
  greatestLane(f, most, i32x4.max_u);
  return most;
}

/** Puts the greatest of four lanes into each. */
export function greatestLane(f: Body, lanes: Local<"v128">, max: (a: V128, b: V128) => V128): void {
  for (const order of [
    [2, 3, 0, 1],
    [1, 0, 3, 2],
  ]) {
    f.set(lanes, max(lanes, i32x4.shuffle(lanes, lanes, order)));
  }
}

/** The greatest magnitude of the 32 elements from `at` on. */
export function greatestOfGroup(f: Body, at: Local<"i32">): Local<"v128"> {
  const eighths = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => v128.load(at, 16 * i));
  return greatest(f, eighths);
}

/** What makes the greatest magnitude `top`; finite where that is tiny or 0. */
function inverseOf(f: Body, greatest: Local<"v128">, top: number): Local<"v128"> {
  return f.let(f32x4.div(f32x4.const(top), f32x4.pmax(greatest, f32x4.const(2 ** -100))));
}

/** Four floats as integers. */
export function rounded(x: V128): V128 {
  return i32x4.sub(f32x4.add(x, f32x4.const(ALIGN)), f32x4.const(ALIGN));
}

/** Sixteen integers of four vectors to bytes. */
export function bytesOf(four: readonly V128[]): V128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(four[0], four[1]), i16x8.narrow_i32x4_s(four[2], four[3]));
}

/** The sum of four integers. */
export function laneSum(sums: V128): Expr<"i32"> {
  const lane = (i: number) => i32x4.extract(sums, i);
  return i32.add(i32.add(lane(0), lane(1)), i32.add(lane(2), lane(3)));
}

/** Eight floats as integers of 14 bits, `above` added: their high seven bits to `to`, their low ones `apart` bytes on. */
export function storePlanes(
  f: Body,
  eight: readonly V128[],
  above: number,
  to: Local<"i32">,
  apart: I32,
  at = 0,
): void {
  const codes = eight.map((four) => f.let(f32x4.add(four, f32x4.const(ALIGN + above))));
  const [high, low] = [7, 0].map((by) => codes.map((code) => v128.and(i32x4.shr_u(code, by), i32x4.const(127))));
  f.do(v128.store64_lane0(to, bytesOf([...high, ...high]), at));
  f.do(v128.store64_lane0(i32.add(to, apart), bytesOf([...low, ...low]), at));
}

/** x to integers, row by row. An element that is not a number makes its row's or group's scale so. */
export function activations(form: ActivationForm): Module {
  const m = new Module();
  m.function(3, (f, params, chunk, _scratch) => {
    const p = ACTIVATIONS.load(params);
    const bytes = f.let(p.bytes);
    const [top, bottom] = share(f, chunk, p.chunkRows, p.rows);
    f.for(top, bottom, 1, (row) => {
      const x = f.let(i32.add(p.x, i32.mul(row, p.xStride)));
      const end = f.let(i32.add(x, bytes));
      const to = f.let(i32.add(p.to, i32.mul(row, p.toStride)));
      const ownScale = form === "i16" || form === "i8x2";
      const inverse = ownScale ? addRowScale(f, x, bytes, i32.add(p.scales, i32.shl(row, 2))) : f.local("v128");
      f.repeat(
        () => {
          if (form === "i16") addShorts(f, x, inverse, to);
          else if (form === "i8x2") addPlanes(f, x, inverse, to);
          else addGroup(f, form, x, to);
          f.bump(x, 4 * GROUP);
          f.bump(to, X_GROUP[ownScale ? form : "i8"].bytes);
        },
        () => i32.ne(x, end),
      );
    });
  });
  return m;
}

/** Stores the row's scale, which makes its greatest magnitude `limit`, and returns 1 over it. */
export function addRowScale(
  f: Body,
  x: Local<"i32">,
  bytes: Local<"i32">,
  to: Expr<"i32">,
  limit = TOP,
): Local<"v128"> {
  const tops = [f.let(i32x4.const(0)), f.let(i32x4.const(0))];
  f.for(0, bytes, 32, (at) => {
    for (const [i, top] of tops.entries()) {
      f.set(top, i32x4.max_u(top, f32x4.abs(v128.load(i32.add(x, at), 16 * i))));
    }
  });
  const top = greatest(f, tops);
  f.do(v128.store32_lane0(to, f32x4.mul(top, f32x4.const(1 / limit))));
  return inverseOf(f, top, limit);
}

function addShorts(f: Body, x: Local<"i32">, inverse: Local<"v128">, to: Local<"i32">): void {
  for (let i = 0; i < 4; i++) {
    const [a, b] = [0, 16].map((at) => rounded(f32x4.mul(v128.load(x, 32 * i + at), inverse)));
    f.do(v128.store(to, i16x8.narrow_i32x4_s(a, b), 16 * i));
  }
}

function addPlanes(f: Body, x: Local<"i32">, inverse: Local<"v128">, to: Local<"i32">): void {
  for (let i = 0; i < 4; i++) {
    const eight = [0, 16].map((at) => f32x4.mul(v128.load(x, 32 * i + at), inverse));
    storePlanes(f, eight, TOP + 1, to, GROUP, 8 * i);
  }
}

function addGroup(f: Body, form: "i8-7" | "i8-8" | "i8-signed", x: Local<"i32">, to: Local<"i32">): void {
  const limit = form === "i8-7" ? 63 : 127;
  const above = form === "i8-7" ? 0x40404040 : 0x80808080 | 0;
  const top = greatestOfGroup(f, x);
  const inverse = inverseOf(f, top, limit);
  f.do(v128.store32_lane0(to, f32x4.mul(top, f32x4.const(1 / limit)), X_GROUP.i8.scale));
  const sum = f.let(i32x4.const(0));
  for (let i = 0; i < 2; i++) {
    const four = [0, 16, 32, 48].map((at) => f.let(rounded(f32x4.mul(v128.load(x, 64 * i + at), inverse))));
    const codes = f.let(bytesOf(four));
    if (form === "i8-signed") {
      for (const each of four) f.set(sum, i32x4.add(sum, each));
      const order = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];
      f.do(v128.store(to, i8x16.shuffle(codes, codes, order), 16 * i));
    } else {
      f.do(v128.store(to, i8x16.add(codes, i32x4.const(above)), 16 * i));
    }
  }
  // The weights' nibbles lie 8 above what they mean.
  f.do(i32.store(to, form === "i8-signed" ? i32.mul(laneSum(sum), -8) : 0, X_GROUP.i8.offset));
}
