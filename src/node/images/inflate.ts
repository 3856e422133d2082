import { createInflate } from "node:zlib";
import type { Inflated } from "../../image/inflate.ts";
import { inflateSlowly } from "../../image/inflate-slowly.ts";
import { Slice } from "../../support/slices.ts";

/** Bytes at a time: the streams of the web, which hand out 16 KB, cost more than the decompression itself. */
const CHUNK = 1 << 20;

/** What `inflate` gives, by the runtime's zlib: three times as fast in Node as its DecompressionStream. */
export async function inflateByZlib(deflated: Uint8Array, length: number, slice = new Slice()): Promise<Inflated> {
  const out = new Uint8Array(length);
  let at = 0;
  const stream = createInflate({ chunkSize: Math.min(Math.max(length + 1, 64), CHUNK) });
  stream.end(deflated);
  try {
    for await (const part of stream) {
      out.set(part.subarray(0, length - at), at);
      at += part.length;
      if (at > length) break;
    }
    return { data: out.subarray(0, Math.min(at, length)), broken: false };
  } catch {
    return inflateSlowly(deflated, length, slice);
  }
}
