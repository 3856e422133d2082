import type { Slice } from "../support/slices.ts";
import type { Inflated } from "./inflate.ts";

/** Symbols or blocks between looks at the clock. */
const STEPS = 4096;

/** Thrown, and caught here, where the bytes end, or are wanted no more. */
const END = Symbol("end");
/** Thrown, and caught here, at a fault. */
const FAULT = Symbol("fault");

/** RFC 1950 and 1951, a bit at a time: whatever can be had of a damaged stream. */
export async function inflateSlowly(deflated: Uint8Array, length: number, slice: Slice): Promise<Inflated> {
  const out = new Uint8Array(length);
  let at = 0;
  let from = 0;
  let bits = 0;
  let count = 0;
  let steps = 0;

  function take(n: number): number {
    while (count < n) {
      if (from >= deflated.length) throw END;
      bits |= deflated[from++] << count;
      count += 8;
    }
    const value = bits & ((1 << n) - 1);
    bits >>>= n;
    count -= n;
    return value;
  }

  function symbol({ counts, symbols }: Codes): number {
    for (let code = 0, first = 0, index = 0, n = 1; n <= 15; n++) {
      code |= take(1);
      if (code < first + counts[n]) return symbols[index + code - first];
      index += counts[n];
      first = (first + counts[n]) << 1;
      code <<= 1;
    }
    throw FAULT;
  }

  function readCodes(): readonly [Codes, Codes] {
    const literals = take(5) + 257;
    const distances = take(5) + 1;
    const order = new Uint8Array(19);
    for (let i = 0, n = take(4) + 4; i < n; i++) order[ORDER[i]] = take(3);
    const lengthCodes = codes(order);
    const lengths = new Uint8Array(literals + distances);
    for (let i = 0; i < lengths.length; ) {
      const value = symbol(lengthCodes);
      if (value < 16) lengths[i++] = value;
      else {
        if (value === 16 && i === 0) throw FAULT;
        const repeated = value === 16 ? lengths[i - 1] : 0;
        const times = value === 16 ? 3 + take(2) : value === 17 ? 3 + take(3) : 11 + take(7);
        if (i + times > lengths.length) throw FAULT;
        lengths.fill(repeated, i, i + times);
        i += times;
      }
    }
    return [codes(lengths.subarray(0, literals)), codes(lengths.subarray(literals))];
  }

  function put(byte: number): void {
    if (at === length) throw END;
    out[at++] = byte;
  }

  /** Gives way now and then; asking for the time at every step would be slower than the step. */
  async function rest(): Promise<void> {
    steps = 0;
    if (slice.over) await slice.end();
  }

  async function readBlock(): Promise<boolean> {
    if (++steps > STEPS) await rest();
    const last = take(1) === 1;
    const kind = take(2);
    if (kind === 3) throw FAULT;
    if (kind === 0) {
      bits = 0;
      count = 0;
      const size = take(16);
      if (take(16) !== (size ^ 0xffff)) throw FAULT;
      for (const end = from + size; from < end; from++) {
        if (from === deflated.length) throw END;
        put(deflated[from]);
      }
      return last;
    }
    const [literals, distances] = kind === 1 ? FIXED : readCodes();
    for (;;) {
      if (++steps > STEPS) await rest();
      const value = symbol(literals);
      if (value === 256) return last;
      if (value < 256) {
        put(value);
        continue;
      }
      if (value > 285) throw FAULT;
      const run = LENGTHS[value - 257] + take(LENGTH_BITS[value - 257]);
      const way = symbol(distances);
      if (way > 29) throw FAULT;
      const back = DISTANCES[way] + take(DISTANCE_BITS[way]);
      if (back > at) throw FAULT;
      for (let i = 0; i < run; i++) put(out[at - back]);
    }
  }

  try {
    // The header: deflate, a window of at most 32 KiB, no dictionary, and a check.
    const header = (take(8) << 8) | take(8);
    if (((header >> 8) & 15) !== 8 || header >> 12 > 7 || header & 32 || header % 31 !== 0) throw FAULT;
    while (!(await readBlock()));
    bits = 0;
    count = 0;
    const sum = [take(8), take(8), take(8), take(8)];
    const adler = new Adler32();
    for (let i = 0; i < at; i += 1 << 16) {
      adler.add(out.subarray(i, Math.min(at, i + (1 << 16))));
      await rest();
    }
    if (adler.bytes.some((byte, i) => byte !== sum[i])) throw FAULT;
  } catch (cause) {
    if (cause !== END && cause !== FAULT) throw cause;
    return { data: out.subarray(0, at), broken: cause === FAULT };
  }
  return { data: out.subarray(0, at), broken: false };
}

/** The checksum at the end of a zlib stream. */
class Adler32 {
  private a = 1;
  private b = 0;

  add(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.a = (this.a + byte) % 65521;
      this.b = (this.b + this.a) % 65521;
    }
  }

  get bytes(): number[] {
    const { a, b } = this;
    return [b >> 8, b & 255, a >> 8, a & 255];
  }
}

/** A canonical Huffman code: how many codes have each length, and their symbols in order. */
interface Codes {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

/** The code that lengths describe; throws FAULT where they describe none, or an incomplete one of more than a symbol. */
function codes(lengths: Uint8Array): Codes {
  const counts = new Uint16Array(16);
  for (const n of lengths) counts[n]++;
  const used = lengths.length - counts[0];
  counts[0] = 0;
  let left = 1;
  for (let n = 1; n <= 15; n++) left = left * 2 - counts[n];
  if (left < 0 || (left > 0 && used > 1)) throw FAULT;
  const next = new Uint16Array(16);
  for (let n = 1; n < 15; n++) next[n + 1] = next[n] + counts[n];
  const symbols = new Uint16Array(used);
  for (const [value, n] of lengths.entries()) if (n) symbols[next[n]++] = value;
  return { counts, symbols };
}

/** The order in which a block gives the lengths of its length codes. [RFC 1951, 3.2.7] */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Extra bits of length codes 257 to 285 and of distance codes 0 to 29, and where their values begin. [3.2.5] */
const LENGTH_BITS = Array.from({ length: 29 }, (_, i) => (i < 8 || i === 28 ? 0 : (i >> 2) - 1));
const DISTANCE_BITS = Array.from({ length: 30 }, (_, i) => (i < 4 ? 0 : (i >> 1) - 1));
const LENGTHS = LENGTH_BITS.map((_, i) => (i === 28 ? 258 : 3 + sumOfPowers(LENGTH_BITS, i)));
const DISTANCES = DISTANCE_BITS.map((_, i) => 1 + sumOfPowers(DISTANCE_BITS, i));

function sumOfPowers(bits: readonly number[], end: number): number {
  return bits.slice(0, end).reduce((sum, n) => sum + 2 ** n, 0);
}

/** The codes of blocks that bring none. [3.2.6] */
const FIXED: readonly [Codes, Codes] = [
  codes(Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))),
  {
    counts: Uint16Array.from({ length: 16 }, (_, n) => (n === 5 ? 30 : 0)),
    symbols: Uint16Array.from({ length: 30 }, (_, i) => i),
  },
];
