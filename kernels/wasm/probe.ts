import { f32x4, i8x16, i32x4, Module, v128 } from "./assembler.ts";
import type { Instructions } from "./math.ts";

/** What the engine takes; undefined where it has no WebAssembly with fixed-width SIMD. */
export function probe(): Instructions | undefined {
  const store = (value: Parameters<typeof v128.store>[1]) => {
    const m = new Module();
    m.function(3, (f, at) => f.do(v128.store(at, value)));
    return m.assemble({ shared: false });
  };
  const zero = i32x4.const(0);
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(store(zero))) return undefined;
  const madd = WebAssembly.validate(store(f32x4.relaxed_madd(zero, zero, zero)));
  // Operands from memory: what a compiler calculates beforehand says nothing about the machine.
  const product = store(i8x16.relaxed_dot_add(v128.load(16), v128.load(32), zero));
  // An engine may take the instruction and not be done with it.
  const dot = WebAssembly.validate(product) && multiplies(product, 127);
  return { madd, dot, dot8: dot && multiplies(product, 255) };
}

/** Whether the dot adds four products with a second operand as large as this, unsigned, without saturation. */
function multiplies(product: Uint8Array<ArrayBuffer>, most: number): boolean {
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(product);
  } catch {
    return false; // a policy forbids it, which is told where kernels are compiled
  }
  const memory = new WebAssembly.Memory({ initial: 1 });
  const bytes = new Int8Array(memory.buffer);
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return [-127, -1, 1, 127].every((weight) => {
    bytes.fill(weight, 16, 32).fill(most, 32, 48);
    (exports.run as (to: number, chunk: number, scratch: number) => void)(0, 0, 0);
    return new Int32Array(memory.buffer, 0, 4).every((sum) => sum === 4 * weight * most);
  });
}
