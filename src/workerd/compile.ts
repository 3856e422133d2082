// In place of src/tensor/wasm/compile.ts where code may not be made at run time.
import type { Instructions, KernelName } from "../../kernels/wasm/index.ts";
import type { Kernel } from "../tensor/wasm/thread.ts";
import { exportName } from "./export-name.ts";
import kernels from "./kernels.wasm";

/** A kernel that is ready to be started in a memory: what it is exported as. */
export type Compiled = string;

export async function compileKernel(name: KernelName, instructions: Instructions): Promise<Compiled> {
  return exportName(name, instructions);
}

const started = new WeakMap<WebAssembly.Memory, WebAssembly.Exports>();

/** Starts a kernel, and with the first one of a memory all of them. */
export function start(name: Compiled, memory: WebAssembly.Memory): Kernel {
  let exports = started.get(memory);
  if (!exports) {
    ({ exports } = new WebAssembly.Instance(kernels, { env: { memory } }));
    started.set(memory, exports);
  }
  const kernel = exports[name] as Kernel;
  return (params, chunk, scratch) => {
    computed += CHUNK;
    kernel(params, chunk, scratch);
  };
}

/** Milliseconds that a chunk of work is taken to last, where no clock tells: some take a tenth of it, few more. */
const CHUNK = 0.25;
let computed = 0;

/** A time that goes on while kernels compute: these platforms stop their clocks until something comes from outside. */
export function now(): number {
  return performance.now() + computed;
}
