import { Slice } from "../support/slices.ts";

/** Bytes written at a time: a stream may hold back what they expand to, at most 1032 times as much. */
const SLICE = 1 << 16;

/** What a zlib stream held. */
export interface Inflated {
  /** As many bytes as were asked for, or as came before the stream ended or broke. */
  readonly data: Uint8Array;
  /** Whether the stream goes wrong right after them, as zlib sees it: a false checksum, a false code. Its mere end is not wrong. */
  readonly broken: boolean;
}

/**
 * The first `length` bytes out of a zlib stream. The platform's decompressor does the work; it gives nothing back of what
 * stands before a fault, so that a stream at fault, and platforms without one, are left to a slow one here, which gives way
 * to the event loop as `slice` says.
 */
export async function inflate(deflated: Uint8Array, length: number, slice = new Slice()): Promise<Inflated> {
  if (typeof DecompressionStream === "undefined") return slowly(deflated, length, slice);
  const stream = new DecompressionStream("deflate");
  const writing = write(stream.writable.getWriter(), deflated);
  const reader = stream.readable.getReader();
  const out = new Uint8Array(length);
  let at = 0;
  try {
    // One read more than is needed: it meets the stream's end, or a fault there.
    for (let full = false; !full; ) {
      const { done, value } = await reader.read();
      if (done) break;
      full = at === length || at + value.length > length;
      out.set(value.subarray(0, length - at), at);
      at = Math.min(length, at + value.length);
    }
    return { data: out.subarray(0, at), broken: false };
  } catch {
    return slowly(deflated, length, slice);
  } finally {
    reader.cancel().catch(() => {});
    await writing;
  }
}

/** Loaded on demand: few pictures need it. */
async function slowly(deflated: Uint8Array, length: number, slice: Slice): Promise<Inflated> {
  return (await import("./inflate-slowly.ts")).inflateSlowly(deflated, length, slice);
}

async function write(writer: WritableStreamDefaultWriter<BufferSource>, bytes: Uint8Array): Promise<void> {
  try {
    // The copies are never memory shared with a worker, which streams refuse.
    for (let at = 0; at < bytes.length; at += SLICE) await writer.write(bytes.slice(at, at + SLICE));
    await writer.close();
  } catch {
    // The reader meets the same error, or wants no more.
  }
}
