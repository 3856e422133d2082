/**
 * A small assembler for WebAssembly: instructions are functions of expressions, so that a kernel reads as its formula.
 * An expression is what computes a value, not the value: one that is used twice is computed twice, unless `let` keeps
 * it.
 */

export type Type = "i32" | "f32" | "f64" | "v128";

/** Bytes, nested as the expressions that they came from are. */
export type Code = readonly (number | Code)[];

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
export type F64 = Expr<"f64">;
export type V128 = Expr<"v128">;

const TYPE: Readonly<Record<Type, number>> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const SIMD = 0xfd;
const END = 0x0b;
const EMPTY = 0x40;

function unsigned(value: number): number[] {
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

function bytesOf(values: Float32Array | Float64Array | Int32Array): number[] {
  return [...new Uint8Array(values.buffer)];
}

function flatten(code: Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === "number") into.push(part);
    else flatten(part, into);
  }
  return into;
}

function codeOf(value: Expr | number): Code {
  return typeof value === "number" ? [0x41, signed(value)] : value.code;
}

/** An instruction: its operands in order, then its number. */
function instruction<T extends Type>(type: T, opcode: Code, ...operands: (Expr | number)[]): Expr<T> {
  return { type, code: [operands.map(codeOf), opcode] };
}

const scalar =
  <T extends Type, A extends Expr | number>(type: T, opcode: number) =>
  (a: A, b: A): Expr<T> =>
    instruction(type, [opcode], a, b);
const unary =
  <T extends Type, A extends Expr | number>(type: T, ...opcode: number[]) =>
  (a: A): Expr<T> =>
    instruction(type, opcode, a);
const vector =
  (opcode: number) =>
  (a: V128, b: V128): V128 =>
    instruction("v128", [SIMD, unsigned(opcode)], a, b);
const vectorUnary =
  (opcode: number) =>
  (a: V128): V128 =>
    instruction("v128", [SIMD, unsigned(opcode)], a);
const shift =
  (opcode: number) =>
  (a: V128, by: I32): V128 =>
    instruction("v128", [SIMD, unsigned(opcode)], a, by);
/** Alignment is a hint: 0 is always true. */
const load =
  <T extends Type>(type: T, ...opcode: number[]) =>
  (address: I32, offset = 0): Expr<T> =>
    instruction(type, [opcode, 0, unsigned(offset)], address);
const store =
  <T extends Type>(...opcode: number[]) =>
  (address: I32, value: T extends "i32" ? I32 : Expr<T>, offset = 0): Code => [
    codeOf(address),
    codeOf(value),
    opcode,
    0,
    unsigned(offset),
  ];
const comparison = (opcode: number) => scalar<"i32", I32>("i32", opcode);

export const i32 = {
  add: comparison(0x6a),
  sub: comparison(0x6b),
  mul: comparison(0x6c),
  div_u: comparison(0x6e),
  rem_u: comparison(0x70),
  and: comparison(0x71),
  or: comparison(0x72),
  shl: comparison(0x74),
  shr_s: comparison(0x75),
  shr_u: comparison(0x76),
  eq: comparison(0x46),
  ne: comparison(0x47),
  lt_u: comparison(0x49),
  gt_u: comparison(0x4b),
  le_u: comparison(0x4d),
  ge_u: comparison(0x4f),
  eqz: unary<"i32", I32>("i32", 0x45),
  load: load("i32", 0x28),
  load8_u: load("i32", 0x2d),
  load16_u: load("i32", 0x2f),
  store: store<"i32">(0x36),
  store8: store<"i32">(0x3a),
  store16: store<"i32">(0x3b),
  reinterpret_f32: unary<"i32", F32>("i32", 0xbc),
  trunc_sat_f32_u: unary<"i32", F32>("i32", 0xfc, 0x01),
};

export const f32 = {
  const: (value: number): F32 => ({ type: "f32", code: [0x43, bytesOf(Float32Array.of(value))] }),
  add: scalar<"f32", F32>("f32", 0x92),
  sub: scalar<"f32", F32>("f32", 0x93),
  mul: scalar<"f32", F32>("f32", 0x94),
  div: scalar<"f32", F32>("f32", 0x95),
  max: scalar<"f32", F32>("f32", 0x97),
  sqrt: unary<"f32", F32>("f32", 0x91),
  load: load("f32", 0x2a),
  store: store<"f32">(0x38),
  convert_i32_u: unary<"f32", I32>("f32", 0xb3),
  reinterpret_i32: unary<"f32", I32>("f32", 0xbe),
  demote_f64: unary<"f32", F64>("f32", 0xb6),
};

export const f64 = {
  const: (value: number): F64 => ({ type: "f64", code: [0x44, bytesOf(Float64Array.of(value))] }),
  promote_f32: unary<"f64", F32>("f64", 0xbb),
  div: scalar<"f64", F64>("f64", 0xa3),
};

export const v128 = {
  load: load("v128", SIMD, 0x00),
  load32_splat: load("v128", SIMD, 0x09),
  load64_splat: load("v128", SIMD, 0x0a),
  load16x4_s: load("v128", SIMD, 0x03),
  load16x4_u: load("v128", SIMD, 0x04),
  load8x8_s: load("v128", SIMD, 0x01),
  load32_zero: load("v128", SIMD, 0x5c),
  load64_zero: load("v128", SIMD, 0x5d),
  store: store<"v128">(SIMD, 0x0b),
  store64_lane0: (address: I32, value: V128, offset = 0): Code => [
    codeOf(address),
    value.code,
    SIMD,
    0x5b,
    0,
    unsigned(offset),
    0,
  ],
  store32_lane0: (address: I32, value: V128, offset = 0): Code => [
    codeOf(address),
    value.code,
    SIMD,
    0x5a,
    0,
    unsigned(offset),
    0,
  ],
  not: vectorUnary(0x4d),
  and: vector(0x4e),
  or: vector(0x50),
  xor: vector(0x51),
  any_true: unary<"i32", V128>("i32", SIMD, 0x53),
  /** Bits of a where the mask's are set, else of b. */
  bitselect: (a: V128, b: V128, mask: V128): V128 => instruction("v128", [SIMD, 0x52], a, b, mask),
};

/** Lanes of 16 bytes by number, 0 to 15 of a, 16 to 31 of b. */
function shuffle(a: V128, b: V128, bytes: readonly number[]): V128 {
  return instruction("v128", [SIMD, 0x0d, [...bytes]], a, b);
}
const words = (lanes: readonly number[]) => lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte));

export const i8x16 = {
  shuffle,
  splat: unary<"v128", I32>("v128", SIMD, 0x0f),
  shr_s: shift(0x6c),
  shr_u: shift(0x6d),
  add: vector(0x6e),
  sub: vector(0x71),
  eq: vector(0x23),
  narrow_i16x8_s: vector(0x65),
  narrow_i16x8_u: vector(0x66),
  /** Sums of four products of signed a and b within 0 to 127, added to c. */
  relaxed_dot_add: (a: V128, b: V128, c: V128): V128 => instruction("v128", [SIMD, unsigned(0x113)], a, b, c),
};

export const i16x8 = {
  splat: unary<"v128", I32>("v128", SIMD, 0x10),
  narrow_i32x4_s: vector(0x85),
  narrow_i32x4_u: vector(0x86),
  extend_low_i8x16_s: vectorUnary(0x87),
  extend_high_i8x16_s: vectorUnary(0x88),
  extadd_pairwise_i8x16_s: vectorUnary(0x7c),
  shl: shift(0x8b),
  shr_s: shift(0x8c),
  shr_u: shift(0x8d),
  sub: vector(0x91),
};

export const i32x4 = {
  splat: unary<"v128", I32>("v128", SIMD, 0x11),
  const: (...values: number[]): V128 => ({
    type: "v128",
    code: [SIMD, 0x0c, bytesOf(Int32Array.from({ length: 4 }, (_, i) => values[i % values.length]))],
  }),
  /** One of a's lanes, or of b's from 4 on, for each of four. */
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 => shuffle(a, b, words(lanes)),
  extract: (a: V128, lane: number): Expr<"i32"> => ({ type: "i32", code: [a.code, SIMD, 0x1b, lane] }),
  add: vector(0xae + 0),
  sub: vector(0xb1),
  mul: vector(0xb5),
  max_u: vector(0xb9),
  gt_s: vector(0x3b),
  ge_s: vector(0x3f),
  gt_u: vector(0x3c),
  ge_u: vector(0x40),
  shl: shift(0xab),
  shr_s: shift(0xac),
  shr_u: shift(0xad),
  dot_i16x8_s: vector(0xba),
  extadd_pairwise_i16x8_s: vectorUnary(0x7e),
  trunc_sat_f32x4_s: vectorUnary(0xf8),
};

export const f32x4 = {
  splat: unary<"v128", F32>("v128", SIMD, 0x13),
  /** The same number in all four lanes. */
  const: (value: number): V128 => ({ type: "v128", code: [SIMD, 0x0c, bytesOf(new Float32Array(4).fill(value))] }),
  extract: (a: V128, lane: number): F32 => ({ type: "f32", code: [a.code, SIMD, 0x1f, lane] }),
  add: vector(0xe4),
  sub: vector(0xe5),
  mul: vector(0xe6),
  div: vector(0xe7),
  max: vector(0xe9),
  /** b where it is less than a, else a. */
  pmin: vector(0xea),
  /** b where a is less than it, else a. */
  pmax: vector(0xeb),
  abs: vectorUnary(0xe0),
  nearest: vectorUnary(0x6a),
  convert_i32x4_s: vectorUnary(0xfa),
  demote_f64x2_zero: vectorUnary(0x5e),
  /** a b + c; whether it is rounded once or twice is the engine's choice. */
  relaxed_madd: (a: V128, b: V128, c: V128): V128 => instruction("v128", [SIMD, unsigned(0x105)], a, b, c),
};

export const f64x2 = {
  splat: unary<"v128", F64>("v128", SIMD, 0x14),
  const: (value: number): V128 => ({ type: "v128", code: [SIMD, 0x0c, bytesOf(new Float64Array(2).fill(value))] }),
  extract: (a: V128, lane: number): F64 => ({ type: "f64", code: [a.code, SIMD, 0x21, lane] }),
  promote_low_f32x4: vectorUnary(0x5f),
  floor: vectorUnary(0x75),
  abs: vectorUnary(0xec),
  neg: vectorUnary(0xed),
  add: vector(0xf0),
  sub: vector(0xf1),
  mul: vector(0xf2),
  div: vector(0xf3),
  pmin: vector(0xf6),
  pmax: vector(0xf7),
  eq: vector(0x47),
  ne: vector(0x48),
  lt: vector(0x49),
  gt: vector(0x4a),
};

/** a where the condition is not 0, else b; both are computed. */
export function select<T extends Type>(a: Expr<T>, b: Expr<T>, condition: I32): Expr<T> {
  return { type: a.type, code: [a.code, b.code, codeOf(condition), a.type === "v128" ? [0x1c, 1, TYPE.v128] : 0x1b] };
}

/** An i32 constant as an expression. */
export function int(value: number): Expr<"i32"> {
  return { type: "i32", code: codeOf(value) };
}

/** The lesser of two unsigned integers; both are computed twice. */
export function min(a: Expr<"i32">, b: Expr<"i32">): Expr<"i32"> {
  return select(a, b, i32.lt_u(a, b));
}

/** The body of a function while it is written: statements are appended in order. */
export class Body {
  readonly locals: Type[];
  private code: Code[] = [];

  constructor(params: readonly Type[]) {
    this.locals = [...params];
  }

  /** A new local, 0 at first. */
  local<T extends Type>(type: T): Local<T> {
    const index = this.locals.push(type) - 1;
    return { type, index, code: [0x20, unsigned(index)] };
  }

  /** A new local that holds a value. */
  let<T extends Type>(value: Expr<T>): Local<T> {
    const local = this.local(value.type);
    this.set(local, value);
    return local;
  }

  set<T extends Type>(local: Local<T>, value: Expr<T> | (T extends "i32" ? number : never)): void {
    this.code.push([codeOf(value), 0x21, unsigned(local.index)]);
  }

  /** local += by */
  bump(local: Local<"i32">, by: I32): void {
    this.set(local, i32.add(local, by));
  }

  /** Appends what leaves no value: stores and calls. */
  do(...statements: Code[]): void {
    this.code.push(...statements);
  }

  /** Runs the body once, then again while the condition holds. */
  repeat(body: () => void, condition: () => I32): void {
    this.code.push([0x03, EMPTY]);
    body();
    this.code.push([codeOf(condition()), 0x0d, 0, END]);
  }

  when(condition: I32, body: () => void, otherwise?: () => void): void {
    this.code.push([codeOf(condition), 0x04, EMPTY]);
    body();
    if (otherwise) {
      this.code.push([0x05]);
      otherwise();
    }
    this.code.push([END]);
  }

  /** For each `from`, `from + step` … below `below`, unsigned; `below` is computed at every turn: give a local. */
  for(from: I32, below: I32, step: I32, body: (at: Local<"i32">) => void): void {
    const at = this.local("i32");
    this.set(at, from);
    this.when(i32.lt_u(at, below), () => {
      this.repeat(
        () => {
          body(at);
          this.bump(at, step);
        },
        () => i32.lt_u(at, below),
      );
    });
  }

  /** The bytes of the function, its size in front. */
  assemble(params: number): number[] {
    const locals = this.locals.slice(params);
    const code = flatten([unsigned(locals.length), locals.map((type) => [1, TYPE[type]]), this.code, END]);
    return [...unsigned(code.length), ...code];
  }
}

/** What calls a function of the module. */
export type Call = (...args: (Expr | number)[]) => Code;

/** Functions over one imported memory, "env" "memory". None returns a value. */
export class Module {
  private readonly functions: { params: readonly Type[]; code: number[] }[] = [];

  /** Adds a function; what it calls must have been added before. The last one is exported as `run`. */
  function<P extends readonly Type[]>(
    params: readonly [...P],
    write: (f: Body, ...params: { [I in keyof P]: Local<P[I]> }) => void,
  ): Call {
    const body = new Body(params);
    const locals = params.map((type, index) => ({ type, index, code: [0x20, index] }));
    write(body, ...(locals as unknown as { [I in keyof P]: Local<P[I]> }));
    const index = this.functions.push({ params, code: body.assemble(params.length) }) - 1;
    return (...args) => [args.map(codeOf), 0x10, unsigned(index)];
  }

  /** The module's bytes; a shared memory must have a maximum, any up to 4 GiB is taken. */
  assemble({ shared }: { readonly shared: boolean }): Uint8Array<ArrayBuffer> {
    const section = (id: number, content: Code) => {
      const bytes = flatten(content);
      return [id, unsigned(bytes.length), bytes];
    };
    const name = (text: string) => [text.length, [...text].map((letter) => letter.charCodeAt(0))];
    const count = unsigned(this.functions.length);
    const types = this.functions.map(({ params }) => [0x60, params.length, params.map((type) => TYPE[type]), 0]);
    const limits = shared ? [3, 1, unsigned(65536)] : [0, 1];
    return Uint8Array.from(
      flatten([
        [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, [count, types]),
        section(2, [1, name("env"), name("memory"), 2, limits]),
        section(3, [count, this.functions.map((_, index) => unsigned(index))]),
        section(7, [1, name("run"), 0, unsigned(this.functions.length - 1)]),
        section(10, [count, this.functions.map(({ code }) => code)]),
      ]),
    );
  }
}
