import { invalid } from "./invalid.ts";
import { MAX_PIECE_BYTES } from "./model.ts";

/**
 * SentencePiece's precompiled normalisation rules: a darts-clone double-array trie from byte strings to offsets into a
 * blob of NUL-terminated replacements. Layout: uint32 size of the trie in bytes, the trie (one uint32 a unit, little
 * endian), the blob.
 *
 * A unit: bit 31 marks a leaf, whose other bits are the value; else bits 0-7 are the label of the edge into it, bit 8
 * says whether a leaf hangs below it, and bits 10-30, shifted left by 8 where bit 9 is set, are XORed with its index to
 * find its children.
 */
export class Charsmap {
  /** All replacements; each ends at a NUL. */
  readonly replacements: Uint8Array;
  private readonly units: Uint32Array;

  /** SiglipError where the parts do not fit each other or a replacement is longer than `MAX_PIECE_BYTES`. */
  constructor(blob: Uint8Array) {
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const size = blob.length < 4 ? -1 : view.getUint32(0, true);
    if (size < 4 || size % 4 !== 0 || size > blob.length - 4)
      throw invalid("normalisation rules of a whole number of units", `${size} of ${blob.length} bytes in their trie`);
    this.units = new Uint32Array(size / 4);
    for (let i = 0; i < this.units.length; i++) this.units[i] = view.getUint32(4 + 4 * i, true);
    this.replacements = blob.slice(4 + size);
    this.check();
  }

  /**
   * The longest rule that `text[start, end)` begins with: its length in the low 10 bits and, above them, where its
   * replacement begins; 0 where there is none. SiglipError where a rule reads more than `MAX_PIECE_BYTES` bytes, which
   * only a damaged trie does.
   */
  longest(text: Uint8Array, start: number, end: number): number {
    const units = this.units;
    let found = 0;
    let node = childrenOf(0, units[0]);
    for (let at = start; at < end; at++) {
      node ^= text[at];
      if (node >= units.length) break;
      const unit = units[node];
      if (labelOf(unit) !== text[at]) break;
      if (at - start === MAX_PIECE_BYTES)
        throw invalid(`normalisation rules that read at most ${MAX_PIECE_BYTES} bytes`, "a longer one");
      node = childrenOf(node, unit);
      if (hasLeaf(unit)) found = leafValue(units[node]) * 1024 + (at + 1 - start);
    }
    return found;
  }

  /** Lookups then need no checks of leaves: every one lies in the trie and points into the blob. */
  private check(): void {
    const units = this.units;
    for (let i = 0; i < units.length; i++) {
      if (units[i] >= 0x80000000 || !hasLeaf(units[i])) continue;
      const leaf = childrenOf(i, units[i]);
      if (leaf >= units.length || leafValue(units[leaf]) >= this.replacements.length)
        throw invalid(
          "normalisation rules that stay inside their table",
          `unit ${i} of ${units.length} pointing outside`,
        );
    }
    for (let i = 0, start = 0; i <= this.replacements.length; i++) {
      if (i - start > MAX_PIECE_BYTES)
        throw invalid(`normalisation rules that write at most ${MAX_PIECE_BYTES} bytes`, "a longer one");
      if (i === this.replacements.length || this.replacements[i] === 0) start = i + 1;
    }
  }
}

function labelOf(unit: number): number {
  return (unit & 0x800000ff) >>> 0;
}

function hasLeaf(unit: number): boolean {
  return (unit & 0x100) !== 0;
}

function leafValue(unit: number): number {
  return unit & 0x7fffffff;
}

/** The index that, XORed with a byte, is a child of the unit at `index`. */
function childrenOf(index: number, unit: number): number {
  return (index ^ ((unit >>> 10) << ((unit & 0x200) >>> 6))) >>> 0;
}
