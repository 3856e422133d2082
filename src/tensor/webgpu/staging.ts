/** Buffers by which results come back to the host, kept for the next read. */
export class Staging {
  private readonly make: (bytes: number, usage: GPUBufferUsageFlags) => GPUBuffer;
  private readonly free: (buffer: GPUBuffer) => void;
  private readonly idle: GPUBuffer[] = [];

  constructor(make: (bytes: number, usage: GPUBufferUsageFlags) => GPUBuffer, free: (buffer: GPUBuffer) => void) {
    this.make = make;
    this.free = free;
  }

  /** A buffer of at least so many bytes, until it is given back. */
  take(bytes: number): GPUBuffer {
    const index = this.idle.findIndex((buffer) => buffer.size >= bytes);
    if (index >= 0) return this.idle.splice(index, 1)[0];
    const small = this.idle.pop();
    if (small) this.free(small);
    return this.make(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }

  give(buffer: GPUBuffer): void {
    this.idle.push(buffer);
  }

  /** The first `bytes` of a buffer that was taken, once what has been submitted is done. */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    await buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    const contents = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    return contents;
  }
}
