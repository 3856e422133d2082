import { mismatch } from "../support/error.ts";

/** Random access to the bytes of one file, wherever it lies. */
export interface Source {
  /** Shown in errors: a path, a URL or a file's name. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`; rejects with a SiglipError where the file does not hold them. They may be put
   * into `room`, which is of that length.
   */
  read(offset: number, length: number, signal?: AbortSignal, room?: Uint8Array): Promise<Uint8Array>;
  /** The same bytes as they arrive, in pieces of any length, where that is cheaper than many reads. */
  stream?(offset: number, length: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Tells which ranges are about to be read, so that neighbours may come together; none where that is over. Any other
   * may be read too.
   */
  plan?(ranges: readonly ByteRange[]): void;
  /** The file that it is made from, where it is stored nowhere itself. */
  readonly from?: FileSize;
}

/** A file by its name in its folder, and its length in bytes. */
export interface FileSize {
  /** Without the folder's. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/** Bytes of a file from `begin` to before `end`. */
export interface ByteRange {
  /** Offset of the first. */
  readonly begin: number;
  /** Offset past the last. */
  readonly end: number;
}

/**
 * Memory for one part of a file at a time. What is made anew for each part is collected late: while a large file is
 * read, tens of megabytes would be waiting for that.
 */
export class Room {
  private bytes = new Uint8Array(0);

  /** So many bytes, until the next are taken. */
  take(length: number): Uint8Array {
    // As large as parts mostly are, so that a small first one is not made in vain.
    if (this.bytes.length < length) this.bytes = new Uint8Array(Math.max(length, 2 ** 22));
    return this.bytes.subarray(0, length);
  }
}

/** A file that is already in memory. Reads are views, not copies. */
export function bytesSource(bytes: Uint8Array, name = "bytes"): Source {
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      checkRange(this, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/**
 * A range in parts of `size` bytes, the last one shorter where it does not come out even. Of a source that streams
 * they come by one request, else by a read each. No more than one part is held. With `room` a part lasts until the
 * next is asked for.
 */
export async function* readParts(
  source: Source,
  { begin, end }: ByteRange,
  size: number,
  signal?: AbortSignal,
  room?: Room,
): AsyncGenerator<Uint8Array> {
  const make = (length: number) => room?.take(length) ?? new Uint8Array(length);
  if (!source.stream || end - begin <= size) {
    for (let at = begin; at < end; at += size) {
      signal?.throwIfAborted();
      const length = Math.min(size, end - at);
      yield await source.read(at, length, signal, room?.take(length));
    }
    return;
  }
  let at = begin;
  let part = make(size);
  let filled = 0;
  for await (const piece of source.stream(begin, end - begin, signal)) {
    for (let from = 0; from < piece.length; ) {
      const count = Math.min(part.length - filled, piece.length - from);
      part.set(piece.subarray(from, from + count), filled);
      from += count;
      filled += count;
      if (filled < part.length) continue;
      signal?.throwIfAborted();
      yield part;
      at += filled;
      part = make(Math.min(size, end - at));
      filled = 0;
    }
  }
}

/** Throws unless [offset, offset + length) lies within the file. */
export function checkRange(
  source: { readonly name: string; readonly size: number },
  offset: number,
  length: number,
): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size)) {
    throw mismatch(
      "bad-checkpoint",
      source.name,
      `bytes ${offset} to ${offset + length}`,
      `a file of ${source.size}, which is truncated or not what its header says`,
      "fetch it again",
    );
  }
}
