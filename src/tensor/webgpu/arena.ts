import type { BufferPlan } from "../buffer-plan.ts";

/**
 * Buffers for activations, shared by all programs, since one runs at a time. Plans list their buffers from the largest on, so
 * that of two programs' plans the larger one serves both, buffer by buffer.
 */
export class Arena {
  /** Grows whenever a buffer was replaced: what was made of the old ones has to be made anew. */
  generation = 0;
  private readonly buffers: GPUBuffer[] = [];
  private readonly create: (bytes: number) => GPUBuffer;
  private readonly free: (buffer: GPUBuffer) => void;

  constructor(create: (bytes: number) => GPUBuffer, free: (buffer: GPUBuffer) => void) {
    this.create = create;
    this.free = free;
  }

  /** The buffers of a plan, each at least as large as it says. To be called while nothing runs. */
  fit({ sizes }: BufferPlan): readonly GPUBuffer[] {
    for (const [index, bytes] of sizes.entries()) {
      const old = this.buffers[index];
      if (old && old.size >= bytes) continue;
      this.generation++;
      if (old) this.free(old);
      this.buffers[index] = this.create(bytes);
    }
    return this.buffers;
  }
}
