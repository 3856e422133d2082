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

  /**
   * The first buffer, in order of creation, that is free and holds `bytes`; else a new one. What a later forward finds in
   * addition is younger than what the first one took or made at the same point, so it takes the same.
   */
  take(bytes: number): GPUBuffer {
    let found = this.all.find((buffer) => buffer.size >= bytes && this.free.has(buffer));
    if (found) this.free.delete(found);
    else {
      found = this.create(bytes);
      this.all.push(found);
    }
    return found;
  }

  give(buffer: GPUBuffer): void {
    this.free.add(buffer);
  }
}
