import { invalid } from "./invalid.ts";
import { type ModelProto, NORMAL, UNUSED, USER_DEFINED } from "./model.ts";
import { charLength } from "./text.ts";
import type { Tokens } from "./tokens.ts";
import type { ByteTrie } from "./trie.ts";

const UNKNOWN_PENALTY = 10;
const USER_DEFINED_BONUS = 0.1;

/**
 * The best path under a unigram language model (Kudo 2018, arXiv 1804.10959) by Viterbi, O(bytes x longest piece), with
 * SentencePiece 0.2.2's arithmetic, because it decides ties: scores are added and compared as float32, and the first of
 * equals stays. A user-defined symbol scores 0.1 for every byte after its first (releases before 0.2.2 gave it another
 * bonus).
 */
export class Unigram {
  private readonly trie: ByteTrie;
  /** The score of each piece; NaN for the unused. */
  private readonly scores: Float32Array;
  private readonly unknownScore: number;
  private readonly small = new Lattice(1024);

  /** `trie` holds the normal, user-defined and unused pieces; SiglipError where none is normal. */
  constructor(model: ModelProto, trie: ByteTrie) {
    this.trie = trie;
    let least = Number.POSITIVE_INFINITY;
    for (const piece of model.pieces) if (piece.type === NORMAL) least = Math.min(least, piece.score);
    if (least === Number.POSITIVE_INFINITY) throw invalid("normal pieces, since they price the unknown", "none");
    this.unknownScore = Math.fround(least - UNKNOWN_PENALTY);
    this.scores = Float32Array.from(model.pieces, (piece) => {
      if (piece.type === UNUSED) return Number.NaN;
      return piece.type === USER_DEFINED ? USER_DEFINED_BONUS * (piece.end - piece.start - 1) : piece.score;
    });
  }

  /** Appends the pieces of `bytes[start, end)`, which no piece that occurs in the text may overhang. */
  encode(bytes: Uint8Array, start: number, end: number, tokens: Tokens): void {
    const length = end - start;
    const { best, from, ids } = length < this.small.from.length ? this.small : new Lattice(length + 1);
    from.fill(-1, 0, length + 1);
    best[0] = tokens.score;
    for (let at = 0, step = 0; at < length; at += step) {
      step = Math.min(charLength(bytes[start + at]), length - at);
      const here = best[at];
      let single = false;
      for (let to = at, node = 0; to < length; ) {
        node = this.trie.step(node, bytes[start + to++]);
        if (node === 0) break;
        const id = this.trie.value(node);
        if (id < 0 || Number.isNaN(this.scores[id])) continue;
        const score = Math.fround(this.scores[id] + here);
        if (from[to] < 0 || score > best[to]) {
          best[to] = score;
          from[to] = at;
          ids[to] = id;
        }
        if (to - at === step) single = true;
      }
      const unknown = Math.fround(this.unknownScore + here);
      if (!single && (from[at + step] < 0 || unknown > best[at + step])) {
        best[at + step] = unknown;
        from[at + step] = at;
        ids[at + step] = -1;
      }
    }
    tokens.score = best[length];

    // Turn the links of the best path round, so that it can be read from its beginning.
    let next = -1;
    for (let at = length; at >= 0; ) {
      const previous = at === 0 ? -1 : from[at];
      from[at] = next;
      next = at;
      at = previous;
    }
    for (let at = 0; at < length; at = from[at]) tokens.push(ids[from[at]], bytes, start + at, start + from[at]);
  }
}

/**
 * For every end in a stretch of text: the best path's score, where its last piece begins (-1: none yet), and that
 * piece's id (-1: unknown).
 */
class Lattice {
  readonly best: Float32Array;
  readonly from: Int32Array;
  readonly ids: Int32Array;

  constructor(size: number) {
    this.best = new Float32Array(size);
    this.from = new Int32Array(size);
    this.ids = new Int32Array(size);
  }
}
