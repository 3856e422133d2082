import { MinHeap } from "./min-heap.ts";
import { type ModelProto, UNUSED } from "./model.ts";
import { charLength } from "./text.ts";
import type { Tokens } from "./tokens.ts";
import type { ByteTrie } from "./trie.ts";

/** No text has as many symbols (MAX_TEXT). */
const SYMBOLS = 2 ** 25;

/**
 * Byte pair encoding as bpe_model.cc does it: from single characters (a user-defined symbol is one, and is never
 * merged) the pair whose merged piece has the highest score is merged, the leftmost of equals first, until no pair
 * makes a piece. O(n log n).
 */
export class Bpe {
  private readonly trie: ByteTrie;
  private readonly symbols: ByteTrie | undefined;
  /** For each piece, how many scores are higher: 0 merges first. */
  private readonly ranks: Int32Array;
  private readonly unused: Uint8Array;
  private readonly small = new Workspace(1024);
  /** For an unused piece: how many bytes its left half had when it was last seen as a pair. */
  private readonly halves = new Map<number, number>();

  /**
   * `trie` holds the normal, user-defined and unused pieces, `symbols` the user-defined ones alone (undefined: none).
   */
  constructor(model: ModelProto, trie: ByteTrie, symbols: ByteTrie | undefined) {
    this.trie = trie;
    this.symbols = symbols;
    this.ranks = ranksOf(Float32Array.from(model.pieces, (piece) => piece.score));
    this.unused = Uint8Array.from(model.pieces, (piece) => (piece.type === UNUSED ? 1 : 0));
  }

  /** Appends the pieces of `bytes[start, end)`, which no piece that occurs in the text may overhang. */
  encode(bytes: Uint8Array, start: number, end: number, tokens: Tokens): void {
    const text = bytes.subarray(start, end);
    const work = text.length <= this.small.next.length ? this.small : new Workspace(text.length);
    this.halves.clear();
    this.split(text, work);
    this.merge(text, work);
    for (let at = 0; at < text.length; at = work.next[at]) this.emit(text, at, work.next[at], tokens);
  }

  private split(text: Uint8Array, { next, previous, nodes }: Workspace): void {
    let last = -1;
    for (let at = 0; at < text.length; ) {
      const symbol = this.symbols?.longest(text, at, text.length) ?? 0;
      const to = at + (symbol || Math.min(charLength(text[at]), text.length - at));
      next[at] = to;
      previous[at] = last;
      nodes[at] = symbol ? FROZEN : this.trie.walk(0, text, at, to);
      last = at;
      at = to;
    }
  }

  private merge(text: Uint8Array, work: Workspace): void {
    const { next, previous, nodes, ranks, queue } = work;
    for (let at = 0; at < text.length; at = next[at]) this.propose(text, work, at);
    for (let key = queue.pop(); key >= 0; key = queue.pop()) {
      const rank = Math.floor(key / SYMBOLS);
      const left = key - rank * SYMBOLS;
      // A proposal is stale once either symbol has been merged with another.
      if (ranks[left] !== rank) continue;
      const right = next[left];
      const end = next[right];
      nodes[left] = this.trie.walk(nodes[left], text, right, end);
      next[left] = end;
      ranks[right] = NO_PAIR;
      if (end < text.length) previous[end] = left;
      if (previous[left] >= 0) this.propose(text, work, previous[left]);
      this.propose(text, work, left);
    }
  }

  /** Queues the merge of the symbol at `left` and the one after it, where they make a piece. */
  private propose(text: Uint8Array, { next, nodes, ranks, queue }: Workspace, left: number): void {
    ranks[left] = NO_PAIR;
    const right = next[left];
    if (right === text.length || nodes[left] <= 0 || nodes[right] === FROZEN) return;
    const id = this.trie.value(this.trie.walk(nodes[left], text, right, next[right]));
    if (id < 0) return;
    ranks[left] = this.ranks[id];
    queue.push(ranks[left] * SYMBOLS + left);
    if (this.unused[id]) this.halves.set(id, right - left);
  }

  /** Appends the piece `text[start, end)`; an unused one as the pieces it was made of. */
  private emit(text: Uint8Array, start: number, end: number, tokens: Tokens): void {
    const ends = [end];
    for (let from = start; ends.length > 0; ) {
      const to = ends[ends.length - 1];
      const id = this.trie.value(this.trie.walk(0, text, from, to));
      const half = this.unused[id] ? this.halves.get(id) : undefined;
      if (half !== undefined) {
        ends.push(from + half);
        continue;
      }
      tokens.push(id, text, from, to);
      from = to;
      ends.pop();
    }
  }
}

const FROZEN = -1;
const NO_PAIR = -1;

/** The symbols of a text as a linked list. A symbol is named by the offset of its first byte. */
class Workspace {
  /** Where the symbol ends and the following one begins. */
  readonly next: Int32Array;
  /** The symbol before it, or -1. */
  readonly previous: Int32Array;
  /** Its place in the trie; 0: none, FROZEN: a user-defined symbol, never merged. */
  readonly nodes: Int32Array;
  /** The rank of the piece it makes with the following symbol, or NO_PAIR. */
  readonly ranks: Int32Array;
  /** Proposed merges as `rank * SYMBOLS + symbol`. */
  readonly queue = new MinHeap();

  constructor(size: number) {
    this.next = new Int32Array(size);
    this.previous = new Int32Array(size);
    this.nodes = new Int32Array(size);
    this.ranks = new Int32Array(size);
  }
}

/** For each score, how many are higher; 0 is higher than -0, as in SentencePiece 0.2.2. */
function ranksOf(scores: Float32Array): Int32Array {
  // The bits of a float32, with those below the sign turned over in negative ones, are integers in the same order.
  const ordered = new Int32Array(scores.buffer).map((bits) => (bits < 0 ? bits ^ 0x7fffffff : bits));
  const ascending = ordered.toSorted();
  return ordered.map((score) => {
    let low = 0;
    for (let high = ascending.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (ascending[middle] <= score) low = middle + 1;
      else high = middle;
    }
    return ascending.length - low;
  });
}
