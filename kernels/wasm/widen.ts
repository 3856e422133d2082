import type { Body, Call, Module } from "./assembler.ts";
import { finiteHalf } from "./half.ts";
import { type Expr, f32x4, i32, i32x4, type Local, type V128, v128 } from "./instructions.ts";

/** What a checkpoint's floats may be, by number. */
export const KINDS = ["F32", "F16", "BF16"] as const;

/**
 * Adds f(source, kind, depth, padded, to, flag): a row as a checkpoint stores it to f32, exactly, filled up with zeros.
 * Makes the i32 at `flag` 1 where a value is not finite.
 */
export function addWiden(m: Module): Call {
  return m.function(6, (f, source, kind, depth, padded, to, flag) => {
    const greatest = f.let(i32x4.const(0));
    const whole = f.let(i32.and(depth, -4));
    /** Four values at a time, then what is left by way of four that are zero. */
    const run = (bytes: number, load: (address: Expr<"i32">) => V128) => {
      const keep = (value: Local<"v128">, at: Expr<"i32">) => {
        f.set(greatest, i32x4.max_u(greatest, f32x4.abs(value)));
        f.do(v128.store(i32.add(to, i32.shl(at, 2)), value));
      };
      f.for(0, whole, 4, (at) => {
        keep(f.let(load(i32.add(source, i32.mul(at, bytes)))), at);
      });
      f.for(whole, padded, 4, (at) => {
        const last = f.let(i32.add(to, i32.shl(at, 2)));
        f.do(v128.store(last, i32x4.const(0)));
        const next = f.let(last);
        f.for(at, depth, 1, (one) => {
          const from = i32.add(source, i32.mul(one, bytes));
          f.do(bytes === 4 ? i32.store(next, i32.load(from)) : i32.store16(next, i32.load16_u(from)));
          f.bump(next, bytes);
        });
        keep(f.let(load(last)), at);
      });
    };
    f.when(i32.eq(kind, 0), () => run(4, v128.load));
    f.when(i32.eq(kind, 1), () => run(2, (address) => wideHalf(f, v128.load16x4_s(address))));
    f.when(i32.eq(kind, 2), () => run(2, (address) => i32x4.shl(v128.load16x4_s(address), 16)));
    f.when(v128.any_true(i32x4.ge_u(greatest, i32x4.const(0x7f800000))), () => f.do(i32.store(flag, 1)));
  });
}

/** Four halves to f32; infinities and NaNs become infinities. */
function wideHalf(f: Body, halves: V128): V128 {
  const value = f.let(finiteHalf(halves));
  const beyond = i32x4.ge_u(f32x4.abs(value), i32x4.const(0x47800000));
  return v128.or(value, v128.and(beyond, i32x4.const(0x7f800000)));
}
