import { mismatch, type SiglipError } from "../support/error.ts";
import { NORMAL } from "./json.ts";

/**
 * The scores that SentencePiece's BPE needs to merge in the order of a list of merges, "a b" or [a, b] each: a piece's
 * is the higher the earlier the first merge that makes it. `texts` and `types` are the pieces', by id. SiglipError for
 * merges of what are no pieces, and ("unsupported") where the list does not make a piece of two others in every way in
 * which it falls into two: SentencePiece's BPE does.
 */
export function scoresOf(merges: unknown, texts: readonly string[], types: Uint8Array): Float64Array {
  if (!Array.isArray(merges)) throw unsound("merges", "none");
  const table = new TextTable(texts);
  const scores = new Float64Array(texts.length).fill(-merges.length - 1);
  const ways = new Int32Array(texts.length);
  for (let rank = 0; rank < merges.length; rank++) {
    const [left, right] = halvesOf(merges[rank], rank);
    const whole = table.findJoined(left, right);
    if (table.left < 0 || table.right < 0 || whole < 0) {
      throw unsound("merges of pieces that make a piece", `another as merge ${rank}`);
    }
    // Those of other types are never merged: they stand in texts as they are, or not at all.
    if (types[table.left] !== NORMAL || types[table.right] !== NORMAL || types[whole] !== NORMAL) continue;
    if (ways[whole]++ === 0) scores[whole] = -rank - 1;
  }
  for (let id = 0; id < texts.length; id++) {
    const most = types[id] === NORMAL ? table.ways(texts[id], (half) => types[half] === NORMAL) : 0;
    if (ways[id] === most) continue;
    const wanted = "every merge that makes a piece of two, as SentencePiece merges";
    throw mismatch(
      "unsupported",
      "tokenizer.json",
      wanted,
      `${ways[id]} of ${most} for piece ${id}`,
      "take SigLIP's own",
    );
  }
  return scores;
}

function halvesOf(merge: unknown, rank: number): readonly [string, string] {
  const halves: unknown = typeof merge === "string" ? merge.split(" ", 3) : merge;
  if (Array.isArray(halves) && halves.length === 2) {
    const [left, right]: unknown[] = halves;
    if (typeof left === "string" && typeof right === "string" && left !== "" && right !== "") return [left, right];
  }
  throw unsound("merges of two pieces", `another as merge ${rank}`);
}

/**
 * Ids by texts, where those of a text's halves and of two joined texts are asked for: by hashes that follow from each
 * other, so that a million of them make no string. Two polynomials modulo 2^32 with multipliers drawn at random.
 */
class TextTable {
  /** What `findJoined` found for its halves. */
  left = -1;
  right = -1;
  private readonly a = multiplier();
  private readonly b = multiplier();
  private readonly slots: Int32Array;
  /** Both hashes of every text. */
  private readonly hashes: Int32Array;
  /** What both hashes of a text are multiplied by for so many characters after it. */
  private readonly powers: Int32Array;
  private readonly prefixes: Int32Array;
  // What `hash` found.
  private hashA = 0;
  private hashB = 0;

  constructor(texts: readonly string[]) {
    const longest = texts.reduce((most, { length }) => Math.max(most, length), 0);
    this.powers = new Int32Array(2 * longest + 2).fill(1);
    for (let i = 2; i < this.powers.length; i += 2) {
      this.powers[i] = Math.imul(this.powers[i - 2], this.a);
      this.powers[i + 1] = Math.imul(this.powers[i - 1], this.b);
    }
    this.prefixes = new Int32Array(longest);
    this.hashes = new Int32Array(2 * texts.length);
    this.slots = new Int32Array(2 ** (33 - Math.clz32(texts.length)));
    for (let id = 0; id < texts.length; id++) {
      this.hash(texts[id]);
      this.hashes[2 * id] = this.hashA;
      this.hashes[2 * id + 1] = this.hashB;
      let slot = this.slotOf(this.hashA, this.hashB);
      while (this.slots[slot] !== 0) slot = (slot + 1) & (this.slots.length - 1);
      this.slots[slot] = id + 1;
    }
  }

  /** The id of two texts joined, or -1; theirs are noted. */
  findJoined(left: string, right: string): number {
    const { powers } = this;
    this.hash(left);
    const [a, b] = [this.hashA, this.hashB];
    this.left = this.find(a, b);
    this.hash(right);
    this.right = this.find(this.hashA, this.hashB);
    if (this.right < 0) return -1;
    const after = 2 * right.length;
    return this.find(
      (Math.imul(a, powers[after]) + this.hashA) | 0,
      (Math.imul(b, powers[after + 1]) + this.hashB) | 0,
    );
  }

  /** In how many places a text of the table falls into two others that count. */
  ways(text: string, counts: (id: number) => boolean): number {
    const { prefixes, powers } = this;
    let a = 0;
    let b = 0;
    for (let at = 0; at < text.length - 1; at++) {
      const code = text.charCodeAt(at) + 1;
      a = (Math.imul(a, this.a) + code) | 0;
      b = (Math.imul(b, this.b) + code) | 0;
      prefixes[at] = this.find(a, b);
    }
    let ways = 0;
    a = b = 0;
    for (let at = text.length - 1, after = 0; at > 0; at--, after += 2) {
      const code = text.charCodeAt(at) + 1;
      a = (Math.imul(code, powers[after]) + a) | 0;
      b = (Math.imul(code, powers[after + 1]) + b) | 0;
      const left = prefixes[at - 1];
      if (left < 0 || !counts(left)) continue;
      const right = this.find(a, b);
      if (right >= 0 && counts(right)) ways++;
    }
    return ways;
  }

  private hash(text: string): void {
    let a = 0;
    let b = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at) + 1;
      a = (Math.imul(a, this.a) + code) | 0;
      b = (Math.imul(b, this.b) + code) | 0;
    }
    this.hashA = a;
    this.hashB = b;
  }

  private find(a: number, b: number): number {
    for (let slot = this.slotOf(a, b); ; slot = (slot + 1) & (this.slots.length - 1)) {
      const id = this.slots[slot] - 1;
      if (id < 0 || (this.hashes[2 * id] === a && this.hashes[2 * id + 1] === b)) return id;
    }
  }

  private slotOf(a: number, b: number): number {
    return Math.imul(a ^ (b >>> 15), 0x9e3779b1) >>> (Math.clz32(this.slots.length) + 1);
  }
}

function multiplier(): number {
  return Math.floor(Math.random() * 2 ** 31) * 2 + 1;
}

function unsound(wanted: string, found: string): SiglipError {
  return mismatch("bad-checkpoint", "tokenizer.json", wanted, found, "fetch it again");
}
