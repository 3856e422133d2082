import { mismatch } from "../../support/error.ts";

/** Blocks begin and end on multiples of this: a cache line, and more than any vector load wants. */
const ALIGNMENT = 64;
const PAGE = 2 ** 16;

/**
 * The most pages, 64 MiB, that a memory grows by beyond what is asked for, which a quarter of it is while that is less. They take
 * no room before they are written to, but platforms that grant 128 MB count them.
 */
const AHEAD = 1024;

/** Upper bounds to try, in pages: engines reserve addresses for all that shared memory may become, and phones refuse much. */
const LIMITS = [65_535, 32_768, 16_384, 8192];

/** Bytes from `start` on. */
interface Span {
  start: number;
  size: number;
}

/**
 * The one memory that kernels, threads and the host work in, and its allocator. It starts with a page and grows as blocks are
 * asked for, to 4 GiB less a page, so that the end of a block is still a 32-bit number. It never shrinks; freed blocks are given out again.
 */
export class Memory {
  readonly memory: WebAssembly.Memory;
  /** Whether threads can work in it; kernels have to declare the memory that they import likewise. */
  readonly shared: boolean;
  private readonly limit: number;
  private readonly blocks = new Map<number, number>();
  /** In order of addresses, never two that touch. Address 0 stays out, so that no block's pointer is 0. */
  private readonly free_: Span[] = [{ start: ALIGNMENT, size: PAGE - ALIGNMENT }];
  private used = 0;

  /**
   * `most` bounds its bytes, a multiple of 64 KiB. Throws a SiglipError with code "out-of-memory" where the runtime has no room
   * for even a small one.
   */
  constructor(options: { readonly shared: boolean; readonly most?: number }) {
    this.shared = options.shared;
    let cause: unknown;
    for (const maximum of options.most ? [options.most / PAGE] : LIMITS) {
      try {
        this.memory = new WebAssembly.Memory({ initial: 1, maximum, shared: options.shared });
        this.limit = maximum * PAGE;
        return;
      } catch (error) {
        cause = error;
      }
    }
    const wanted = `room for ${LIMITS.at(-1)! * PAGE} bytes`;
    throw mismatch("out-of-memory", "wasm memory", wanted, "none", "close what else takes memory", cause);
  }

  /** Bytes in blocks that are allocated at present. */
  get bytes(): number {
    return this.used;
  }

  /**
   * The pointer of a new block of at least `bytes` bytes, a multiple of 64 and never 0. What is in it is undefined. Throws a
   * SiglipError with code "out-of-memory" where there is no room for it, and stays as it was then.
   */
  alloc(bytes: number): number {
    const size = Math.max(Math.ceil(bytes / ALIGNMENT), 1) * ALIGNMENT;
    let index = this.free_.findIndex((span) => span.size >= size);
    if (index < 0) index = this.grow(size);
    const span = this.free_[index];
    const { start } = span;
    span.start += size;
    span.size -= size;
    if (span.size === 0) this.free_.splice(index, 1);
    this.blocks.set(start, size);
    this.used += size;
    return start;
  }

  /** Gives a block back. Its pointer must be one that `alloc` gave and nobody has freed. */
  free(pointer: number): void {
    const size = this.blocks.get(pointer);
    if (size === undefined) {
      throw mismatch("bad-input", "free", "the pointer of a block", String(pointer), "free each block once");
    }
    this.blocks.delete(pointer);
    this.used -= size;
    this.release({ start: pointer, size });
  }

  /** A view of `length` bytes. Like all views it may not outlive the next `alloc`, which may move unshared memory. */
  bytesAt(pointer: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer, pointer, length);
  }

  /** A view of `length` 32-bit integers. */
  intsAt(pointer: number, length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.buffer, pointer, length);
  }

  /** A view of `length` floats. */
  floatsAt(pointer: number, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.buffer, pointer, length);
  }

  /** Typed as unshared for what wants such views and reads from both kinds; a few functions of the platforms refuse shared ones. */
  private get buffer(): ArrayBuffer {
    return this.memory.buffer as ArrayBuffer;
  }

  /** Makes room at the end, where the last span may already lie, and returns that span's index. */
  private grow(size: number): number {
    const end = this.buffer.byteLength;
    const last = this.free_.at(-1);
    const present = last && last.start + last.size === end ? last.size : 0;
    const needed = Math.ceil((size - present) / PAGE);
    // Engines collect garbage, or move everything, when a memory grows: it is to grow seldom.
    const ahead = Math.max(needed, Math.min(Math.ceil(end / PAGE / 4), AHEAD));
    let pages = end + ahead * PAGE > this.limit ? needed : ahead;
    try {
      if (end + pages * PAGE > this.limit) throw new RangeError(`${this.limit} bytes are the most`);
      try {
        this.memory.grow(pages);
      } catch {
        pages = needed;
        this.memory.grow(pages);
      }
    } catch (cause) {
      const found = `${this.used} in use and no room (${(cause as Error).message})`;
      const advice = "load with a smaller dtype or fewer towers, or use smaller batches";
      throw mismatch("out-of-memory", "wasm memory", `${size} more bytes`, found, advice, cause);
    }
    this.release({ start: end, size: pages * PAGE });
    return this.free_.length - 1;
  }

  private release(span: Span): void {
    const spans = this.free_;
    const next = spans.findIndex(({ start }) => start > span.start);
    const at = next < 0 ? spans.length : next;
    const [before, after] = [spans[at - 1], spans[at]];
    if (after && span.start + span.size === after.start) {
      span.size += after.size;
      spans.splice(at, 1);
    }
    if (before && before.start + before.size === span.start) before.size += span.size;
    else spans.splice(at, 0, span);
  }
}
