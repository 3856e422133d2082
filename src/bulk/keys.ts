import type { VectorKey } from "../search/vectors.ts";
import { Numbers } from "./numbers.ts";
import { sha256 } from "./sha256.ts";

/** 32-bit words that are kept of a key's SHA-256: two of a trillion keys are alike with a chance of 1 in 10^14. */
const WORDS = 4;

/** A key as one string, of which no two keys have the same; halves of characters are escaped. */
export function keyText({ kind, name, stamp }: VectorKey): string {
  return JSON.stringify([kind, name, stamp]);
}

/** The same of a key whatever its stamp. */
export function nameText({ kind, name }: Omit<VectorKey, "stamp">): string {
  return keyText({ kind, name, stamp: "" });
}

/** The key that such a string stands for; undefined for any other string. */
export function parseKey(text: string): VectorKey | undefined {
  try {
    const [kind, name, stamp] = JSON.parse(text);
    const sound = (kind === "image" || kind === "text") && typeof name === "string" && typeof stamp === "string";
    return sound ? { kind, name, stamp } : undefined;
  } catch {
    return undefined;
  }
}

/** Numbers keys from 0 on in the order in which they are met; 24 to 32 bytes a key, however long it is. */
export class Keys {
  private readonly digests = new Numbers(Uint32Array);
  /** The number after a key's at the place that its digest asks for, or a later one; 0 where there is none. */
  private places = new Uint32Array(2 ** 10);
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** The key's number, and whether it is met for the first time. */
  add(text: string): { number: number; first: boolean } {
    const words = wordsOf(sha256(text));
    let place = words[0] & (this.places.length - 1);
    for (; this.places[place] !== 0; place = (place + 1) & (this.places.length - 1)) {
      const number = this.places[place] - 1;
      if (words.every((word, index) => this.digests.get(number * WORDS + index) === word)) {
        return { number, first: false };
      }
    }
    for (const word of words) this.digests.push(word);
    this.places[place] = ++this.count;
    if (this.count * 2 > this.places.length) this.grow();
    return { number: this.count - 1, first: true };
  }

  private grow(): void {
    const places = new Uint32Array(this.places.length * 2);
    for (let number = 0; number < this.count; number++) {
      let place = this.digests.get(number * WORDS) & (places.length - 1);
      while (places[place] !== 0) place = (place + 1) & (places.length - 1);
      places[place] = number + 1;
    }
    this.places = places;
  }
}

/** The first words of a digest. */
function wordsOf(digest: string): number[] {
  const words = [0, 0, 0, 0];
  for (let at = 0; at < 4 * WORDS; at++) words[at >> 2] = ((words[at >> 2] << 8) | digest.charCodeAt(at)) >>> 0;
  return words;
}
