/** Numbers that follow from a text, so that a case can be made again from its name: splitmix32, seeded by FNV-1a. */
export class Random {
  #state = 0x811c9dc5;

  constructor(seed: string) {
    for (let i = 0; i < seed.length; i++) this.#state = Math.imul(this.#state ^ seed.charCodeAt(i), 0x01000193);
  }

  /** 32 random bits. */
  bits(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  }

  /** A whole number from 0 to `count` - 1; 0 where there is none. */
  below(count: number): number {
    return Math.floor((this.bits() / 2 ** 32) * count);
  }

  chance(probability: number): boolean {
    return this.bits() < probability * 2 ** 32;
  }

  pick<Item>(items: ArrayLike<Item>): Item {
    return items[this.below(items.length)];
  }

  /** 1 most of the time, seldom more than 4. */
  few(): number {
    let count = 1;
    while (count < 8 && this.chance(0.35)) count++;
    return count;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.bits());
  }
}

const EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];

/** A number at which counts, lengths and offsets go wrong, for something of `length` bytes. */
export function edge(random: Random, length: number): number {
  return random.chance(0.3) ? Math.max(0, length + random.below(5) - 2) : random.pick(EDGES);
}

/**
 * A copy with one to eight changes: bits, numbers of any width and order, parts cut, doubled, moved in from `others` or
 * made up.
 */
export function mutateBytes(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  let out = Uint8Array.from(bytes);
  for (let changes = random.few(); changes > 0; changes--) out = change(random, out, others);
  return out;
}

function change(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = Uint8Array.from(bytes);
  const at = random.below(out.length + 1);
  const span = Math.min(out.length - at, 1 << random.below(8));
  switch (random.below(9)) {
    case 0:
      if (at < out.length) out[at] ^= 1 << random.below(8);
      return out;
    case 1:
      if (at < out.length) out[at] = random.bits();
      return out;
    case 2:
    case 3: {
      const width = random.pick([1, 2, 4, 8]);
      const number = Buffer.alloc(8);
      const value = BigInt(edge(random, out.length));
      if (random.chance(0.5)) number.writeBigUInt64LE(value);
      else number.writeBigUInt64BE(BigInt.asUintN(64, value << BigInt(64 - 8 * width)));
      out.set(number.subarray(0, Math.min(width, out.length - at)), at);
      return out;
    }
    case 4:
      return join(out.subarray(0, at), out.subarray(at + span));
    case 5:
      return join(
        out.subarray(0, at),
        ...Array(1 + random.below(4)).fill(out.subarray(at, at + span)),
        out.subarray(at),
      );
    case 6:
      return join(out.subarray(0, at), random.bytes(1 + random.below(16)), out.subarray(at));
    case 7: {
      const other = random.pick(others);
      const from = random.below(other.length);
      const part = other.subarray(from, from + (1 << random.below(10)));
      return join(out.subarray(0, at), part, out.subarray(random.chance(0.5) ? at : at + part.length));
    }
    default:
      return out.slice(0, random.chance(0.5) ? at : Math.max(0, out.length - random.below(16)));
  }
}

/** Bytes one after another. */
export function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
