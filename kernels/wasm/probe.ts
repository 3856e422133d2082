import { Module } from "./assembler.ts";
import { f32x4, i8x16, i32x4, v128 } from "./instructions.ts";
import type { Instructions } from "./math.ts";

/** A function that stores a value of the memory at its first parameter. */
function stores(value: Parameters<typeof v128.store>[1]): Uint8Array<ArrayBuffer> {
  const m = new Module();
  m.function(3, (f, at) => f.do(v128.store(at, value)));
  return m.assemble({ shared: false });
}

/** The dot of the vectors at 16 and 32; from memory, for what a compiler calculates says nothing about the machine. */
export function dotModule(): Uint8Array<ArrayBuffer> {
  return stores(i8x16.relaxed_dot_add(v128.load(16), v128.load(32), i32x4.const(0)));
}

/** What the engine takes; undefined where it has no WebAssembly with fixed-width SIMD. */
export function probe(): Instructions | undefined {
  const zero = i32x4.const(0);
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(stores(zero))) return undefined;
  const madd = WebAssembly.validate(stores(f32x4.relaxed_madd(zero, zero, zero)));
  // An engine may take the instruction and not be done with it.
  return { madd, ...probeDot(startDot) };
}

function startDot(memory: WebAssembly.Memory): unknown {
  const bytes = dotModule();
  // A policy may forbid it, which is told where kernels are compiled.
  return (
    WebAssembly.validate(bytes) &&
    new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports.run
  );
}

/** What an engine does with the dot that `dotModule` is, started in a memory; nothing where it cannot be started. */
export function probeDot(start: (memory: WebAssembly.Memory) => unknown): Pick<Instructions, "dot" | "dot8"> {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const bytes = new Int8Array(memory.buffer);
  try {
    const run = start(memory) as (to: number, chunk: number, scratch: number) => void;
    /** Whether it adds four products with a second operand as large as this, unsigned, without saturation. */
    const multiplies = (most: number) =>
      [-127, -1, 1, 127].every((weight) => {
        bytes.fill(weight, 16, 32).fill(most, 32, 48);
        run(0, 0, 0);
        return new Int32Array(memory.buffer, 0, 4).every((sum) => sum === 4 * weight * most);
      });
    const dot = multiplies(127);
    return { dot, dot8: dot && multiplies(255) };
  } catch {
    return { dot: false, dot8: false };
  }
}
