import { type Instructions, type KernelName, kernelModule, type Step } from "../../kernels/wasm/index.ts";

/** Kernels on one thread in a memory of 256 MiB; nothing in it is freed. */
export class Runner {
  private readonly memory = new WebAssembly.Memory({ initial: 4096, maximum: 65536 });
  private readonly instructions: Instructions;
  private readonly kernels = new Map<KernelName, (params: number, chunk: number, scratch: number) => void>();
  private top = 1024;

  constructor(instructions: Instructions) {
    this.instructions = instructions;
  }

  allocate(bytes: number): number {
    const at = this.top;
    this.top = Math.ceil((at + bytes) / 64) * 64 + 64;
    return at;
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, length);
  }

  put(values: Float32Array | Uint32Array): number {
    const at = this.allocate(values.byteLength);
    new Uint8Array(this.memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    return at;
  }

  /** The milliseconds of each step: the sum of the best of each chunk's, which others on the machine disturb least. */
  run(steps: readonly Step[], repeats = 1): number[] {
    return steps.map((step) => {
      const [kernel, params, scratch] = [this.kernel(step.kernel), this.put(step.params), this.allocate(step.scratch)];
      let total = 0;
      for (let chunk = 0; chunk < step.chunks; chunk++) {
        let best = Number.POSITIVE_INFINITY;
        for (let repeat = 0; repeat < repeats; repeat++) {
          const start = performance.now();
          kernel(params, chunk, scratch);
          best = Math.min(best, performance.now() - start);
        }
        total += best;
      }
      return total;
    });
  }

  private kernel(name: KernelName) {
    let run = this.kernels.get(name);
    if (!run) {
      const module = new WebAssembly.Module(kernelModule(name, this.instructions, { shared: false }));
      const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory } });
      run = exports.run as (params: number, chunk: number, scratch: number) => void;
      this.kernels.set(name, run);
    }
    return run;
  }
}
