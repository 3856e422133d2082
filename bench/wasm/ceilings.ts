import { Module } from "../../kernels/wasm/assembler.ts";
import { f32x4, i8x16, i32x4, type V128, v128 } from "../../kernels/wasm/instructions.ts";

/** A register loop, by its instruction. */
export type Loop = "multiply and add" | "relaxed madd" | "dot of i16" | "relaxed dot of i8";

/** A product is of a sum where it could else be taken out of the loop. */
const LOOPS: Readonly<Record<Loop, { lanes: number; step: (a: V128, b: V128, sum: V128) => V128 }>> = {
  "multiply and add": { lanes: 4, step: (a, b, sum) => f32x4.add(f32x4.mul(sum, a), b) },
  "relaxed madd": { lanes: 4, step: f32x4.relaxed_madd },
  "dot of i16": { lanes: 8, step: (a, b, sum) => i32x4.add(i32x4.dot_i16x8_s(sum, a), b) },
  "relaxed dot of i8": { lanes: 16, step: i8x16.relaxed_dot_add },
};

const TURNS = 50_000;

/**
 * What register loops do that this engine takes: the most that a kernel can reach on this core, in FLOP/s, a multiply-add counted
 * as two.
 */
export function ceilings(): Partial<Record<Loop, number>> {
  const rates: Partial<Record<Loop, number>> = {};
  for (const [name, { lanes, step }] of Object.entries(LOOPS) as [Loop, (typeof LOOPS)[Loop]][]) {
    const m = new Module();
    m.function(3, (f, turns) => {
      const sums = Array.from({ length: 12 }, () => f.local("v128"));
      const [a, b] = [f.let(v128.load(0)), f.let(v128.load(16))];
      f.for(0, turns, 1, () => {
        for (let unrolled = 0; unrolled < 4; unrolled++) for (const sum of sums) f.set(sum, step(a, b, sum));
      });
      for (const sum of sums) f.do(v128.store(0, sum, 64));
    });
    const bytes = m.assemble({ shared: false });
    if (!WebAssembly.validate(bytes)) continue;
    const memory = new WebAssembly.Memory({ initial: 1 });
    const run = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports.run as (
      turns: number,
      chunk: number,
      scratch: number,
    ) => void;
    let best = Number.POSITIVE_INFINITY;
    for (let repeat = 0; repeat < 20; repeat++) {
      const start = performance.now();
      run(TURNS, 0, 0);
      best = Math.min(best, performance.now() - start);
    }
    rates[name] = (2 * TURNS * 48 * lanes) / (best / 1e3);
  }
  return rates;
}
