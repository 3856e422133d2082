import { type Instructions, type KernelName, kernelModule } from "../../../kernels/wasm/index.ts";
import type { Kernel } from "./thread.ts";

/** A kernel that is ready to be started in a memory. */
export type Compiled = WebAssembly.Module;

/** Emits a kernel and compiles it, for a memory that is shared or not; see `compiled`. */
export function compileKernel(name: KernelName, instructions: Instructions, shared: boolean): Promise<Compiled> {
  return compiled(kernelModule(name, instructions, { shared }));
}

/**
 * Compiles a module that imports the memory as "env" "memory" and exports `run(params, chunk, scratch)`. Rejects with a
 * SiglipError where the runtime refuses it.
 */
export function compiled(bytes: Uint8Array<ArrayBuffer>): Promise<Compiled> {
  return WebAssembly.compile(bytes).catch(async (cause: Error) => {
    throw (await import("./refused.ts")).refused(cause);
  });
}

/** Starts a kernel in the thread that calls. */
export function start(module: Compiled, memory: WebAssembly.Memory): Kernel {
  return new WebAssembly.Instance(module, { env: { memory } }).exports.run as Kernel;
}

/** Milliseconds, by which the work of kernels that `start` gave is cut into slices. */
export function now(): number {
  return performance.now();
}
