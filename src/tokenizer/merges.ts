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
  const [left, right, ...rest]: unknown[] =
    typeof merge === "string" ? merge.split(" ", 3) : Array.isArray(merge) ? merge : [];
  if (typeof left === "string" && typeof right === "string" && left !== "" && right !== "" && rest.length === 0) {
    return [left, right];
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
  private readonly hashes: Int32Array;
  private readonly prefixes: Int32Array;

  constructor(texts: readonly string[]) {
    this.slots = new Int32Array(2 ** (33 - Math.clz32(texts.length)));
    this.hashes = new Int32Array(2 * texts.length);
    this.prefixes = new Int32Array(texts.reduce((most, { length }) => Math.max(most, length), 0));
    for (let id = 0; id < texts.length; id++) {
      let a = 0;
      let b = 0;
      for (let at = 0; at < texts[id].length; at++) {
        const code = texts[id].charCodeAt(at) + 1;
        a = (Math.imul(a, this.a) + code) | 0;
        b = (Math.imul(b, this.b) + code) | 0;
      }
      this.hashes[2 * id] = a;
      this.hashes[2 * id + 1] = b;
      let slot = this.slotOf(a, b);
      while (this.slots[slot] !== 0) slot = (slot + 1) & (this.slots.length - 1);
      this.slots[slot] = id + 1;
    }
  }

  /** The id of two texts joined, or -1; theirs are noted. */
  findJoined(left: string, right: string): number {
    let a = 0;
    let b = 0;
    for (let at = 0; at < left.length; at++) {
      const code = left.charCodeAt(at) + 1;
      a = (Math.imul(a, this.a) + code) | 0;
      b = (Math.imul(b, this.b) + code) | 0;
    }
    this.left = this.find(a, b);
    let rightA = 0;
    let rightB = 0;
    for (let at = 0; at < right.length; at++) {
      const code = right.charCodeAt(at) + 1;
      a = (Math.imul(a, this.a) + code) | 0;
      b = (Math.imul(b, this.b) + code) | 0;
      rightA = (Math.imul(rightA, this.a) + code) | 0;
      rightB = (Math.imul(rightB, this.b) + code) | 0;
    }
    this.right = this.find(rightA, rightB);
    return this.find(a, b);
  }

  /** In how many places a text of the table falls into two others that count. */
  ways(text: string, counts: (id: number) => boolean): number {
    const { prefixes } = this;
    let a = 0;
    let b = 0;
    for (let at = 0; at < text.length - 1; at++) {
      const code = text.charCodeAt(at) + 1;
      a = (Math.imul(a, this.a) + code) | 0;
      b = (Math.imul(b, this.b) + code) | 0;
      prefixes[at] = this.find(a, b);
    }
    let [powerA, powerB] = [1, 1];
    let ways = 0;
    a = b = 0;
    for (let at = text.length - 1; at > 0; at--) {
      const code = text.charCodeAt(at) + 1;
      a = (Math.imul(code, powerA) + a) | 0;
      b = (Math.imul(code, powerB) + b) | 0;
      powerA = Math.imul(powerA, this.a);
      powerB = Math.imul(powerB, this.b);
      const left = prefixes[at - 1];
      if (left < 0 || !counts(left)) continue;
      const right = this.find(a, b);
      if (right >= 0 && counts(right)) ways++;
    }
    return ways;
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
