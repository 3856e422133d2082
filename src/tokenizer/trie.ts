/**
 * A map from byte strings to small integers that is walked byte by byte: nodes are numbers, 0 is the root.
 *
 * The edges of all nodes lie in one chained hash table. Its multiplier is drawn anew for each trie (Dietzfelbinger et
 * al. 1997), so no file can be made in advance whose keys all collide. 16 to 20 bytes for each byte of the keys.
 */
export class ByteTrie {
  private readonly multiplier = Math.floor(Math.random() * 2 ** 31) * 2 + 1;
  private readonly shift: number;
  private readonly heads: Int32Array;
  private readonly chained: Int32Array;
  private readonly edges: Int32Array;
  private readonly values: Int32Array;
  private nodes = 1;

  /** `capacity`: the sum of the lengths of the keys to come, less than 2^24. */
  constructor(capacity: number) {
    const bits = Math.max(4, 32 - Math.clz32(capacity));
    this.shift = 32 - bits;
    this.heads = new Int32Array(2 ** bits);
    this.chained = new Int32Array(capacity + 1);
    this.edges = new Int32Array(capacity + 1);
    this.values = new Int32Array(capacity + 1);
  }

  /** Maps `bytes[start, end)` to `value` (0 or more); false, and nothing changed, where the key was there already. */
  add(bytes: Uint8Array, start: number, end: number, value: number): boolean {
    let node = 0;
    for (let at = start; at < end; at++) node = this.step(node, bytes[at]) || this.grow(node, bytes[at]);
    if (this.values[node] !== 0) return false;
    this.values[node] = value + 1;
    return true;
  }

  /** The child of `node` along `byte`, or 0 where there is none. */
  step(node: number, byte: number): number {
    const edge = (node << 8) | byte;
    let child = this.heads[Math.imul(edge, this.multiplier) >>> this.shift];
    while (child !== 0 && this.edges[child] !== edge) child = this.chained[child];
    return child;
  }

  /** The node reached from `node` along `bytes[start, end)`, or 0 where the trie ends before. */
  walk(node: number, bytes: Uint8Array, start: number, end: number): number {
    let reached = node;
    for (let at = start; at < end; at++) {
      reached = this.step(reached, bytes[at]);
      if (reached === 0) return 0;
    }
    return reached;
  }

  /** The value of the key that ends at `node`, or -1. */
  value(node: number): number {
    return this.values[node] - 1;
  }

  /** The length of the longest key that `bytes[start, end)` begins with, or 0. */
  longest(bytes: Uint8Array, start: number, end: number): number {
    let length = 0;
    let node = 0;
    for (let at = start; at < end; at++) {
      node = this.step(node, bytes[at]);
      if (node === 0) break;
      if (this.values[node] !== 0) length = at + 1 - start;
    }
    return length;
  }

  private grow(node: number, byte: number): number {
    const child = this.nodes++;
    const edge = (node << 8) | byte;
    const slot = Math.imul(edge, this.multiplier) >>> this.shift;
    this.edges[child] = edge;
    this.chained[child] = this.heads[slot];
    this.heads[slot] = child;
    return child;
  }
}
