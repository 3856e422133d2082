const CLEAR = 256;
const END = 257;

/**
 * TIFF's LZW: codes of 9 to 12 bits, the highest bit first, growing one code early. At most `length` bytes; fewer where the data end or
 * make no sense.
 */
export function unpackLzw(packed: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  // Of each code: where its bytes lie in what has come out, and how many they are.
  const start = new Uint32Array(4096);
  const size = new Uint32Array(4096);
  let [next, width, last, filled, bits, held] = [258, 9, -1, 0, 0, 0];
  for (let at = 0; filled < length; ) {
    while (held < width && at < packed.length) {
      bits = ((bits & 0xfff) << 8) | packed[at++];
      held += 8;
    }
    if (held < width) break;
    held -= width;
    const code = (bits >> held) & ((1 << width) - 1);
    if (code === END) break;
    if (code === CLEAR) {
      [next, width, last] = [258, 9, -1];
      continue;
    }
    const from = filled;
    if (code < 256) out[filled++] = code;
    else if (code < next || (code === next && last >= 0)) {
      // A code that is only now made begins as the last one did, whose bytes are the latest.
      const [begin, count] = code < next ? [start[code], size[code]] : [start[next], size[next]];
      for (let i = 0; i < count && filled < length; i++) out[filled++] = out[begin + i];
    } else break;
    // The code that the next one will complete: these bytes and one more.
    if (last >= 0 && next < 4096) next++;
    if (next < 4096) {
      start[next] = from;
      size[next] = filled - from + 1;
    }
    last = code;
    width = next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9;
  }
  return out.subarray(0, filled);
}

/** PackBits: runs of copies and of one byte. At most `length` bytes; fewer where the data end. */
export function unpackBits(packed: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let filled = 0;
  for (let at = 0; at < packed.length && filled < length; ) {
    const count = (packed[at++] << 24) >> 24;
    if (count >= 0) {
      const piece = packed.subarray(at, at + Math.min(count + 1, length - filled));
      out.set(piece, filled);
      filled += piece.length;
      at += count + 1;
    } else if (count !== -128) {
      const end = Math.min(filled + 1 - count, length);
      out.fill(packed[at++], filled, end);
      filled = end;
    }
  }
  return out.subarray(0, filled);
}
