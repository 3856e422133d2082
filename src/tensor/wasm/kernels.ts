import type { Instructions, KernelName, Step as KernelStep } from "../../../kernels/wasm/index.ts";
import { compileKernel } from "./compile.ts";
import type { Memory } from "./memory.ts";
import type { Pool, Prepared, Step } from "./pool.ts";

/** A list of kernel calls in memory, ready to be run, and the block that holds their parameters. */
export interface Placed extends Prepared {
  readonly block: number;
}

/** The kernels of one pool, each emitted and compiled when it is first wanted. */
export class Kernels {
  readonly instructions: Instructions;
  private readonly pool: Pool;
  private readonly memory: Memory;
  private readonly loaded = new Map<KernelName, Promise<number>>();

  constructor(pool: Pool, memory: Memory, instructions: Instructions) {
    this.pool = pool;
    this.memory = memory;
    this.instructions = instructions;
  }

  /** Writes steps with their parameters into memory, where they stay until `release`. */
  async place(steps: readonly KernelStep[]): Promise<Placed> {
    const kernels = await Promise.all(steps.map(({ kernel }) => this.index(kernel)));
    const words = steps.reduce((sum, { params }) => sum + params.length, 0);
    const block = this.memory.alloc(4 * words);
    let at = block;
    const list = steps.map(({ params, chunks }, index): Step => {
      this.memory.intsAt(at, params.length).set(params);
      const step = { kernel: kernels[index], params: at, chunks };
      at += 4 * params.length;
      return step;
    });
    const scratch = Math.max(0, ...steps.map((step) => step.scratch));
    try {
      return { ...this.pool.prepare(list, scratch), block };
    } catch (error) {
      this.memory.free(block);
      throw error;
    }
  }

  /** Frees a list that does not run. */
  release(placed: Placed): void {
    this.pool.release(placed);
    this.memory.free(placed.block);
  }

  /** Runs steps once. */
  async run(steps: readonly KernelStep[], signal?: AbortSignal): Promise<void> {
    const placed = await this.place(steps);
    try {
      await this.pool.run(placed, signal);
    } finally {
      if (!this.pool.lost) this.release(placed);
    }
  }

  private index(name: KernelName): Promise<number> {
    let index = this.loaded.get(name);
    if (!index) {
      index = this.pool.load(compileKernel(name, this.instructions, this.memory.shared));
      this.loaded.set(name, index);
    }
    return index;
  }
}
