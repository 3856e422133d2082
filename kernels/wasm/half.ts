import { type Body, f32x4, i32x4, type Local, type V128, v128 } from "./assembler.ts";

/**
 * Four halves, sign-extended to 32 bits, as f32. Exact where they are finite; infinities and NaNs become 65536 and
 * more.
 */
export function finiteHalf(halves: V128): V128 {
  return scaled(v128.and(i32x4.shl(halves, 13), i32x4.const(0x8fffe000 | 0)));
}

/** The same of the high, and of the low half of each 32 bits. */
export function finiteHighHalf(words: V128): V128 {
  return scaled(v128.and(i32x4.shr_s(words, 3), i32x4.const(0x8fffe000 | 0)));
}
export function finiteLowHalf(words: V128): V128 {
  return finiteHighHalf(i32x4.shl(words, 16));
}

/** A half's exponent counts from 15, a float's from 127; multiplying makes subnormal ones right, too. */
function scaled(bits: V128): V128 {
  return f32x4.mul(bits, f32x4.const(2 ** 112));
}

/**
 * Four f32 to halves in the low 16 bits of each lane, rounded to nearest even; what lies above 65504 + half a step
 * becomes infinity. Values must be numbers.
 */
export function toHalf(f: Body, value: Local<"v128">): V128 {
  const magnitude = f.let(v128.and(value, i32x4.const(0x7fffffff)));
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
