import type { Body } from "./assembler.ts";
import { f32x4, i32x4, type Local, type V128 } from "./instructions.ts";

/** Instructions beyond WebAssembly's fixed-width SIMD that an engine takes. */
export interface Instructions {
  /** `f32x4.relaxed_madd`. */
  readonly madd: boolean;
  /** `i32x4.relaxed_dot_i8x16_i7x16_add_s`. */
  readonly dot: boolean;
  /** The same with its second operand up to 255, taken as unsigned. */
  readonly dot8: boolean;
}

/** a b + c, in one instruction where there is one. */
export type Madd = (a: V128, b: V128, c: V128) => V128;

export function maddOf({ madd }: Pick<Instructions, "madd">): Madd {
  return madd ? f32x4.relaxed_madd : (a, b, c) => f32x4.add(f32x4.mul(a, b), c);
}

/** Added to a small number, its bits end in the nearest integer, ties to even. */
export const ALIGN = 1.5 * 2 ** 23;

/** Of 2^f, |f| <= 1/2: the polynomial of least relative error [Remez], 7.5e-8 before and 2.4e-7 after rounding. */
const EXP2 = [1.0000001, 0.69314697, 0.2402212, 0.05550713, 0.009675541, 0.0013276472];

/**
 * `most` 2^t for t up to 127, relative error at most 3.5e-7 from -126 on; 0 below -126.5. t's own rounding comes on top:
 * e^x by way of it errs by 2^-24 |x| more.
 */
export function exp2(f: Body, madd: Madd, t: V128, most = 1): V128 {
  const clamped = f.let(f32x4.pmax(t, f32x4.const(-127)));
  const aligned = f.let(f32x4.add(clamped, f32x4.const(ALIGN + 127)));
  const rest = f.let(f32x4.sub(clamped, f32x4.sub(aligned, f32x4.const(ALIGN + 127))));
  const polynomial = EXP2.map((one) => f32x4.const(most * one)).reduceRight((sum, coefficient) =>
    madd(sum, rest, coefficient),
  );
  return f32x4.mul(polynomial, i32x4.shl(aligned, 23));
}

/**
 * GELU in its tanh form, as x times a logistic: `x / (1 + exp(-2 u))`, u = sqrt(2/pi) (x + 0.044715 x^3), which is
 * `x/2 (1 + tanh u)` without cancellation below 0. Absolute error at most 1e-6 max(1, |x|).
 */
export function gelu(f: Body, madd: Madd, x: Local<"v128">): V128 {
  const scale = -2 * Math.LOG2E * Math.sqrt(2 / Math.PI);
  const inner = madd(f32x4.mul(x, x), f32x4.const(0.044715 * scale), f32x4.const(scale));
  const power = exp2(f, madd, f32x4.pmin(f32x4.mul(x, inner), f32x4.const(127)));
  return f32x4.div(x, f32x4.add(f32x4.const(1), power));
}
