/**
 * WebAssembly's instructions as functions of expressions, so that a kernel reads as its formula. An expression is what
 * computes a value, not the value: one that is used twice is computed twice, unless `Body.let` keeps it.
 */

export type Type = "i32" | "f32" | "v128";

/** Bytes, nested as the expressions that they came from are; a string is a vector constant, its bytes with commas between. */
export type Code = readonly (number | string | Code)[];

/** Code that leaves a value of a type. */
export interface Expr<T extends Type = Type> {
  readonly type: T;
  readonly code: Code;
}
export interface Local<T extends Type = Type> extends Expr<T> {
  readonly index: number;
}
/** A constant stands for itself. */
export type I32 = Expr<"i32"> | number;
export type F32 = Expr<"f32">;
export type V128 = Expr<"v128">;

export const TYPE: Readonly<Record<Type, number>> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };
export const SIMD = 0xfd;
export const END = 0x0b;
export const EMPTY = 0x40;

export function unsigned(value: number): number[] {
  const bytes = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
}

function signed(value: number): number[] {
  const bytes = [];
  let rest = value | 0;
  for (; rest < -64 || rest > 63; rest >>= 7) bytes.push((rest & 127) | 128);
  return [...bytes, rest & 127];
}

export function flatten(code: Code, constant?: (bytes: string) => Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === "number") into.push(part);
    else flatten(typeof part === "string" ? constant!(part) : part, constant, into);
  }
  return into;
}

export function codeOf(value: Expr | number): Code {
  return typeof value === "number" ? [0x41, signed(value)] : value.code;
}

/** An instruction: its operands in order, then its number. */
function instruction<T extends Type>(type: T, opcode: Code, ...operands: (Expr | number)[]): Expr<T> {
  return { type, code: [operands.map(codeOf), opcode] };
}

type Operands = readonly (Expr | number)[];

/** What makes an instruction of its operands. */
const maker =
  <T extends Type, A extends Operands>(type: T, ...opcode: number[]) =>
  (...operands: A): Expr<T> =>
    instruction(type, opcode, ...operands);
const integer = (opcode: number) => maker<"i32", [a: I32, b: I32]>("i32", opcode);
const float = (opcode: number) => maker<"f32", [a: F32, b: F32]>("f32", opcode);
const simd = <A extends Operands>(opcode: number) => maker<"v128", A>("v128", SIMD, ...unsigned(opcode));
const unary = simd<[a: V128]>;
const binary = simd<[a: V128, b: V128]>;
const ternary = simd<[a: V128, b: V128, c: V128]>;
const shift = simd<[a: V128, by: I32]>;

/** Of a SIMD type's instructions those that lie in one order for every width of integers, from `shl` on. */
const integers = (shl: number) => ({
  shl: shift(shl),
  shr_s: shift(shl + 1),
  shr_u: shift(shl + 2),
  add: binary(shl + 3),
  sub: binary(shl + 6),
});
/** And for both widths of floats, from `add` on. */
const floats = (add: number) => ({
  add: binary(add),
  sub: binary(add + 1),
  mul: binary(add + 2),
  div: binary(add + 3),
  /** b where it is less than a, else a. */
  pmin: binary(add + 6),
  /** b where a is less than it, else a. */
  pmax: binary(add + 7),
});

/** Alignment is a hint: 0 is always true. */
const load =
  <T extends Type>(type: T, ...opcode: number[]) =>
  (address: I32, offset = 0): Expr<T> =>
    instruction(type, [opcode, 0, unsigned(offset)], address);
const store =
  <T extends Type>(opcode: Code, ...lane: number[]) =>
  (address: I32, value: T extends "i32" ? I32 : Expr<T>, offset = 0): Code => [
    codeOf(address),
    codeOf(value),
    opcode,
    0,
    unsigned(offset),
    lane,
  ];
const extract =
  <T extends Type>(type: T, opcode: number) =>
  (a: V128, lane: number): Expr<T> =>
    instruction(type, [SIMD, opcode, lane], a);
const constant = (values: Float32Array | Float64Array | Int32Array): V128 => ({
  type: "v128",
  code: [`${new Uint8Array(values.buffer)}`],
});

export const i32 = {
  add: integer(0x6a),
  sub: integer(0x6b),
  mul: integer(0x6c),
  div_u: integer(0x6e),
  rem_u: integer(0x70),
  and: integer(0x71),
  shl: integer(0x74),
  shr_u: integer(0x76),
  eq: integer(0x46),
  ne: integer(0x47),
  lt_u: integer(0x49),
  gt_u: integer(0x4b),
  ge_u: integer(0x4f),
  load: load("i32", 0x28),
  load16_u: load("i32", 0x2f),
  store: store<"i32">([0x36]),
  store16: store<"i32">([0x3b]),
  trunc_sat_f32_u: maker<"i32", [a: F32]>("i32", 0xfc, 0x01),
};

export const f32 = {
  const: (value: number): F32 => instruction("f32", [0x43, [...new Uint8Array(Float32Array.of(value).buffer)]]),
  add: float(0x92),
  sub: float(0x93),
  mul: float(0x94),
  div: float(0x95),
  sqrt: maker<"f32", [a: F32]>("f32", 0x91),
  load: load("f32", 0x2a),
  store: store<"f32">([0x38]),
  convert_i32_u: maker<"f32", [a: I32]>("f32", 0xb3),
  reinterpret_i32: maker<"f32", [a: I32]>("f32", 0xbe),
};

export const v128 = {
  load: load("v128", SIMD, 0x00),
  load32_splat: load("v128", SIMD, 0x09),
  load16x4_s: load("v128", SIMD, 0x03),
  store: store<"v128">([SIMD, 0x0b]),
  store64_lane0: store<"v128">([SIMD, 0x5b], 0),
  store32_lane0: store<"v128">([SIMD, 0x5a], 0),
  and: binary(0x4e),
  or: binary(0x50),
  any_true: maker<"i32", [a: V128]>("i32", SIMD, 0x53),
  /** Bits of a where c's are set, else of b. */
  bitselect: ternary(0x52),
};

/** Lanes of 16 bytes by number, 0 to 15 of a, 16 to 31 of b. */
function shuffle(a: V128, b: V128, bytes: readonly number[]): V128 {
  return instruction("v128", [SIMD, 0x0d, bytes], a, b);
}
const words = (lanes: readonly number[]) => lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte));

export const i8x16 = {
  ...integers(0x6b),
  shuffle,
  splat: maker<"v128", [a: I32]>("v128", SIMD, 0x0f),
  narrow_i16x8_s: binary(0x65),
  narrow_i16x8_u: binary(0x66),
  /** Sums of four products of signed a and b within 0 to 127, added to c. */
  relaxed_dot_add: ternary(0x113),
};

export const i16x8 = {
  ...integers(0x8b),
  narrow_i32x4_s: binary(0x85),
  narrow_i32x4_u: binary(0x86),
  extend_low_i8x16_s: unary(0x87),
  extend_high_i8x16_s: unary(0x88),
};

export const i32x4 = {
  ...integers(0xab),
  /** The same number in all four lanes. */
  const: (value: number): V128 => constant(new Int32Array(4).fill(value)),
  /** One of a's lanes, or of b's from 4 on, for each of four. */
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 => shuffle(a, b, words(lanes)),
  extract: extract("i32", 0x1b),
  mul: binary(0xb5),
  max_u: binary(0xb9),
  ge_u: binary(0x40),
  dot_i16x8_s: binary(0xba),
};

export const f32x4 = {
  ...floats(0xe4),
  splat: maker<"v128", [a: F32]>("v128", SIMD, 0x13),
  /** The same number in all four lanes. */
  const: (value: number): V128 => constant(new Float32Array(4).fill(value)),
  extract: extract("f32", 0x1f),
  abs: unary(0xe0),
  convert_i32x4_s: unary(0xfa),
  demote_f64x2_zero: unary(0x5e),
  /** a b + c; whether it is rounded once or twice is the engine's choice. */
  relaxed_madd: ternary(0x105),
};

export const f64x2 = {
  ...floats(0xf0),
  /** The same number in both lanes. */
  const: (value: number): V128 => constant(new Float64Array(2).fill(value)),
  promote_low_f32x4: unary(0x5f),
  floor: unary(0x75),
  abs: unary(0xec),
  ne: binary(0x48),
  lt: binary(0x49),
};

/** The lesser of two unsigned integers; both are computed twice. */
export function min(a: Expr<"i32">, b: I32): Expr<"i32"> {
  return instruction("i32", [0x1b], a, b, i32.lt_u(a, b));
}
