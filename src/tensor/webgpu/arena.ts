/**
 * Buffers for activations. What is given back is handed out again at once: work runs in the order it was recorded, so a
 * later use cannot disturb an earlier one. The choice depends on nothing but the sequence of calls: the same forward gets
 * the same buffers every time, which lets bind groups be kept.
 */
export class Arena {
  private readonly create: (bytes: number) => GPUBuffer;
  private readonly all: GPUBuffer[] = [];
  private readonly free = new Set<GPUBuffer>();

  constructor(create: (bytes: number) => GPUBuffer) {
    this.create = create;
  }

  /** The smallest free buffer of at least `bytes`, or a new one. */
  take(bytes: number): GPUBuffer {
    let best: GPUBuffer | undefined;
    for (const buffer of this.all) {
      if (!this.free.has(buffer) || buffer.size < bytes) continue;
      if (!best || buffer.size < best.size) best = buffer;
    }
    if (best) {
      this.free.delete(best);
      return best;
    }
    const buffer = this.create(bytes);
    this.all.push(buffer);
    return buffer;
  }

  give(buffer: GPUBuffer): void {
    this.free.add(buffer);
  }
}
