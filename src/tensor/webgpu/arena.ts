/**
 * Buffers for activations. What is given back is handed out again at once: work runs in the order it was recorded, so a
 * later use cannot disturb an earlier one. The choice depends on nothing but the sequence of calls: the same forward gets
 * the same buffers every time, which lets bind groups be kept. A larger batch replaces buffers one by one, so that there are
 * never more of them than one forward uses.
 */
export class Arena {
  private readonly create: (bytes: number) => GPUBuffer;
  /** In order of creation. */
  private all: GPUBuffer[] = [];
  private readonly free = new Set<GPUBuffer>();
  /** Taken since the present forward began. */
  private readonly used = new Set<GPUBuffer>();
  private replaced: GPUBuffer[] = [];

  constructor(create: (bytes: number) => GPUBuffer) {
    this.create = create;
  }

  /** Another forward begins: what earlier ones used may be replaced. */
  begin(): void {
    this.used.clear();
  }

  /**
   * The first buffer, in order of creation, that is free and holds `bytes`; else a new one, in place of the largest that is
   * free and that the present forward has not used. What a later forward finds in addition is younger than what the first
   * one took or made at the same point, and what it no longer finds the first did not use, so it takes the same.
   */
  take(bytes: number): GPUBuffer {
    let found = this.all.find((buffer) => buffer.size >= bytes && this.free.has(buffer));
    if (!found) {
      const idle = this.all.filter((buffer) => this.free.has(buffer) && !this.used.has(buffer));
      if (idle.length > 0) this.replace(idle.reduce((a, b) => (b.size > a.size ? b : a)));
      found = this.create(bytes);
      this.all.push(found);
    }
    this.free.delete(found);
    this.used.add(found);
    return found;
  }

  give(buffer: GPUBuffer): void {
    this.free.add(buffer);
  }

  /** Buffers replaced since the last call. Work that is recorded may use them: they can go when it has run. */
  takeReplaced(): GPUBuffer[] {
    const { replaced } = this;
    this.replaced = [];
    return replaced;
  }

  private replace(buffer: GPUBuffer): void {
    this.all = this.all.filter((one) => one !== buffer);
    this.free.delete(buffer);
    this.replaced.push(buffer);
  }
}
