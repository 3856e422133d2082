import type { Embeddings } from "../siglip/embeddings.ts";
import { mismatch } from "../support/error.ts";

/** An embedding that was found. */
export interface Hit {
  /** Its number, in the order in which they were added. */
  readonly index: number;
  /** Its dot product with the query: the cosine, of embeddings of length 1. */
  readonly score: number;
}

/**
 * Embeddings of one width, one after another in memory, every one compared at a search: exact, and fast enough for
 * hundreds of thousands. Embeddings of length 1, as a model gives them, are scored by their cosine.
 */
export class SearchIndex {
  /** Values in an embedding. */
  readonly width: number;
  private data: Float32Array;
  private count = 0;

  /** `width` is the model's `dim`. Throws a SiglipError where it is no whole number from 1. */
  constructor(width: number) {
    if (!(Number.isInteger(width) && width >= 1)) {
      throw mismatch("bad-input", "SearchIndex", "a width from 1", `${width}`, "pass the model's dim");
    }
    this.width = width;
    this.data = new Float32Array(64 * width);
  }

  /** How many embeddings there are. */
  get size(): number {
    return this.count;
  }

  /** Appends one embedding or several, as a model gives them or [n, width] row-major, and gives the first one's number. */
  add(added: Embeddings | Float32Array): number {
    const embeddings = valuesOf(added);
    this.check(embeddings, embeddings?.length % this.width === 0, `[n, ${this.width}]`);
    const first = this.count;
    const filled = first * this.width;
    if (filled + embeddings.length > this.data.length) {
      const grown = new Float32Array(Math.max(2 * this.data.length, filled + embeddings.length));
      grown.set(this.data.subarray(0, filled));
      this.data = grown;
    }
    this.data.set(embeddings, filled);
    this.count += embeddings.length / this.width;
    return first;
  }

  /** A copy of an embedding, by its number. */
  row(index: number): Float32Array {
    if (!(Number.isInteger(index) && index >= 0 && index < this.count)) {
      throw mismatch("bad-input", "SearchIndex", `a number below ${this.count}`, `${index}`, "take it from a hit");
    }
    return this.data.slice(index * this.width, (index + 1) * this.width);
  }

  /**
   * The `most` embeddings nearest to a single one, as a model gives it or [width]; all by default, best first, and of
   * equals the one added first.
   */
  search(wanted: Embeddings | Float32Array, most = this.count): Hit[] {
    const query = valuesOf(wanted);
    this.check(query, query?.length === this.width, `[${this.width}]`);
    const { data, width, count } = this;
    const scores = new Float64Array(count);
    for (let index = 0; index < count; index++) {
      const base = index * width;
      let sum = 0;
      for (let d = 0; d < width; d++) sum += data[base + d] * query[d];
      scores[index] = sum;
    }
    const order = Uint32Array.from(scores.keys());
    order.sort((a, b) => scores[b] - scores[a] || a - b);
    return Array.from(order.subarray(0, Math.max(0, most)), (index) => ({ index, score: scores[index] }));
  }

  private check(values: Float32Array, good: boolean, shape: string): void {
    if (values instanceof Float32Array && good && values.every(Number.isFinite)) return;
    const found = `${values?.length} values`;
    throw mismatch("bad-input", "SearchIndex", `finite embeddings of ${shape}`, found, "embed with one model");
  }
}

/** The numbers of embeddings, in whichever form they were handed in. */
function valuesOf(embeddings: Embeddings | Float32Array): Float32Array {
  return embeddings instanceof Float32Array ? embeddings : embeddings?.data;
}
