import type { Source } from "../checkpoint/source.ts";
import { mismatch } from "../support/error.ts";
import { type FloatDType, toFloat32 } from "../support/numbers.ts";
import { scaled } from "./encode-vector.ts";

/** Rows that lie together. */
export const BLOCK = 4096;

/** `BLOCK` consecutive rows, in memory or in a file; the last block may have fewer, in memory. */
interface Block {
  readonly rows: number;
  /** All of them, row-major, not to be changed. */
  values(signal?: AbortSignal): Float32Array | Promise<Float32Array>;
  /** One of them, not to be changed. */
  row(index: number): Float32Array | Promise<Float32Array>;
}

/** Where rows lie in a file: one after another from `begin` on. */
export interface StoredRows {
  readonly source: Source;
  readonly dtype: FloatDType | "I8";
  readonly begin: number;
  readonly count: number;
  /** Of one row. */
  readonly bytes: number;
  /** Of each row what a value of 1 stands for, where they are integers. */
  readonly scales?: Float32Array;
}

/** Any number of rows of one width, numbered in the order in which they come. */
export class Rows {
  readonly width: number;
  readonly blocks: Block[] = [];
  private count = 0;

  constructor(width: number) {
    this.width = width;
  }

  get size(): number {
    return this.count;
  }

  /** Appends [n, width] row-major. */
  add(values: Float32Array): void {
    const count = values.length / this.width;
    for (let from = 0; from < count; ) {
      if (this.count % BLOCK === 0) this.blocks.push(new MemoryBlock(this.width, count - from));
      const taken = (this.blocks.at(-1) as MemoryBlock).take(values, from);
      this.count += taken;
      from += taken;
    }
  }

  /** Appends a file's rows, block by block. */
  async addCopy(stored: StoredRows, signal?: AbortSignal): Promise<void> {
    for (let row = 0; row < stored.count; row += BLOCK) {
      this.add(await read(stored, row, Math.min(BLOCK, stored.count - row), signal));
    }
  }

  /** Appends rows that stay in their file, but for the last ones; there must be none yet. */
  async addStored(stored: StoredRows, signal?: AbortSignal): Promise<void> {
    const whole = stored.count - (stored.count % BLOCK);
    for (let row = 0; row < whole; row += BLOCK) this.blocks.push(new FileBlock(stored, row));
    this.count = whole;
    this.add(await read(stored, whole, stored.count - whole, signal));
  }

  /** A row by its number, not to be changed. */
  row(index: number): Float32Array | Promise<Float32Array> {
    return this.blocks[Math.floor(index / BLOCK)].row(index % BLOCK);
  }
}

class MemoryBlock implements Block {
  rows = 0;
  private readonly width: number;
  private data: Float32Array;

  constructor(width: number, room: number) {
    this.width = width;
    this.data = new Float32Array(Math.min(BLOCK, room) * width);
  }

  /** Takes as many of the rows from one on as there is room for, and tells how many. */
  take(values: Float32Array, from: number): number {
    const { width } = this;
    const count = Math.min(BLOCK - this.rows, values.length / width - from);
    const wanted = (this.rows + count) * width;
    if (wanted > this.data.length) {
      const grown = new Float32Array(Math.min(BLOCK * width, Math.max(wanted, 2 * this.data.length)));
      grown.set(this.data.subarray(0, this.rows * width));
      this.data = grown;
    }
    this.data.set(values.subarray(from * width, (from + count) * width), this.rows * width);
    this.rows += count;
    return count;
  }

  values(): Float32Array {
    return this.data.subarray(0, this.rows * this.width);
  }

  row(index: number): Float32Array {
    return this.data.subarray(index * this.width, (index + 1) * this.width);
  }
}

class FileBlock implements Block {
  readonly rows = BLOCK;
  private readonly stored: StoredRows;
  private readonly first: number;

  constructor(stored: StoredRows, first: number) {
    this.stored = stored;
    this.first = first;
  }

  values(signal?: AbortSignal): Promise<Float32Array> {
    return read(this.stored, this.first, BLOCK, signal);
  }

  row(index: number): Promise<Float32Array> {
    return read(this.stored, this.first + index, 1);
  }
}

async function read(stored: StoredRows, first: number, count: number, signal?: AbortSignal): Promise<Float32Array> {
  const { source, dtype, begin, bytes } = stored;
  signal?.throwIfAborted();
  const read = await source.read(begin + first * bytes, count * bytes, signal);
  const values = dtype === "I8" ? integers(read, bytes, stored.scales!, first) : toFloat32(read, dtype);
  let odd = 0;
  for (let i = 0; i < values.length; i++) odd += values[i] - values[i]; // NaN where a value is not finite
  if (odd === 0) return values;
  const found = `others among rows ${first} to ${first + count - 1}`;
  throw mismatch("bad-input", source.name, "finite embeddings", found, "write the file again");
}

function integers(read: Uint8Array, width: number, scales: Float32Array, first: number): Float32Array {
  const values = new Float32Array(read.length);
  for (let at = 0; at < read.length; at += width) {
    values.set(scaled(read.subarray(at, at + width), scales[first + at / width]), at);
  }
  return values;
}
