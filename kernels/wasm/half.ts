import type { Body } from "./assembler.ts";
import { f32x4, i32x4, type Local, type V128, v128 } from "./instructions.ts";

/** The halves in the low 16 bits of four lanes as f32. Exact where finite; infinities and NaNs become 65536 and more. */
export function finiteHalf(words: V128): V128 {
  return finiteHighHalf(i32x4.shl(words, 16));
}

/** The same of the high 16 bits. A half's exponent counts from 15, a float's from 127, subnormal or not. */
export function finiteHighHalf(words: V128): V128 {
  return f32x4.mul(v128.and(i32x4.shr_s(words, 3), i32x4.const(0x8fffe000 | 0)), f32x4.const(2 ** 112));
}

/**
 * Four f32 to halves in the low 16 bits of each lane, rounded to nearest even; what lies above 65504 + half a step
 * becomes infinity. Values must be numbers.
 */
export function toHalf(f: Body, value: Local<"v128">): V128 {
  const magnitude = f.let(f32x4.abs(value));
  const sign = v128.and(i32x4.shr_u(value, 16), i32x4.const(0x8000));
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.const(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, odd), i32x4.const(0xfff - 0x38000000)), 13);
  // Subnormal halves are multiples of 2^-24: adding 0.5 lines the float's last bit up with that step.
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.const(0.5)), i32x4.const(0x3f000000));
  const small = i32x4.ge_u(i32x4.const(0x387fffff), magnitude);
  const large = i32x4.ge_u(magnitude, i32x4.const(0x477ff000));
  const finite = v128.bitselect(subnormal, normal, small);
  return v128.or(sign, v128.bitselect(i32x4.const(0x7c00), finite, large));
}
