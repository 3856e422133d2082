import type { Embeddings } from "../siglip/embeddings.ts";
import { mismatch } from "../support/error.ts";
import { Finder, MANY, type OpenScan } from "./finder.ts";
import { type StoredIndex, vectorsOf, writeIndex } from "./index-file.ts";
import type { Runtime } from "./open-scan.ts";
import type { Pair } from "./pairs.ts";
import { product } from "./product.ts";
import { Rows } from "./rows.ts";
import type { Vectors } from "./vectors.ts";

/** Options of a VectorIndex. */
export interface IndexOptions {
  /** How many threads search among many embeddings: by default the cores that the machine reports, at most 16. */
  readonly threads?: number;
}

/** Options of a search. */
export interface SearchOptions {
  /** How many are wanted, by default 10; Infinity for all of them in order. */
  readonly most?: number;
  /** Rejects the search with its reason. */
  readonly signal?: AbortSignal;
}

/** An embedding that was found. */
export interface Hit {
  /** Its number, in the order in which they were added. */
  readonly index: number;
  /** Its dot product with the query, summed in float64: the cosine, of embeddings of length 1. */
  readonly score: number;
  /** The name with which it was added. */
  readonly name?: string;
}

/** Options of `pairs` and `groups`. */
export interface NearOptions {
  /** The least score of a pair; the cosine, of embeddings of length 1. */
  readonly above: number;
  /** Called now and then with how many comparisons of blocks are done, and how many there are. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Rejects with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Embeddings of one width, every one compared at a search: exact at any size. Few are compared in float64. Of many all
 * are compared as integers of 8 bits, in WebAssembly on threads, and those that may be among the best again in float64:
 * what is found is the same. Embeddings of length 1, as a model gives them, are scored by their cosine.
 */
export abstract class VectorIndex {
  private readonly options: IndexOptions;
  private rows: Rows;
  private names: (string | undefined)[] = [];
  private made: StoredIndex["origin"] = {};
  private readonly removed = new Set<number>();
  private readonly finder = new Finder(() => this.openScan());
  private searching: Promise<unknown> = Promise.resolve();

  /** `width` is the model's `dim`. Throws a SiglipError where it is no whole number from 1. */
  constructor(width: number, options: IndexOptions = {}) {
    if (!(Number.isInteger(width) && width >= 1)) {
      throw mismatch("bad-input", "VectorIndex", "a width from 1", `${width}`, "pass the model's dim");
    }
    this.rows = new Rows(width);
    this.options = options;
  }

  /** Values in an embedding. */
  get width(): number {
    return this.rows.width;
  }

  /** How many embeddings there are. */
  get size(): number {
    return this.rows.size - this.removed.size;
  }

  /** What made the embeddings, as the file says from which they were loaded; empty where nothing is known. */
  get origin(): Readonly<Record<string, string>> {
    return this.made;
  }

  /** Appends one embedding or several, as a model gives them or [n, width] row-major; gives the first one's number. */
  add(added: Embeddings | Float32Array, names: readonly string[] = []): number {
    const values = valuesOf(added);
    this.check(values, values?.length % this.width === 0, `[n, ${this.width}]`);
    const count = values.length / this.width;
    if (names.length !== 0 && names.length !== count) {
      throw mismatch("bad-input", "VectorIndex", `${count} names`, `${names.length}`, "give every embedding one");
    }
    const first = this.rows.size;
    this.rows.add(values);
    for (let i = 0; i < count; i++) this.names.push(names[i]);
    return first;
  }

  /** Takes an embedding out, by its number; the others keep theirs. A saved index is without it. */
  remove(index: number): void {
    this.checkIndex(index);
    this.removed.add(index);
  }

  /** A copy of an embedding, by its number. */
  async row(index: number): Promise<Float32Array> {
    this.checkIndex(index);
    return (await this.rows.row(index)).slice();
  }

  /** The name with which an embedding was added, by its number. */
  name(index: number): string | undefined {
    this.checkIndex(index);
    return this.names[index];
  }

  /** Those nearest to an embedding, as a model gives it or [width]: best first, and of equals the one added first. */
  async search(wanted: Embeddings | Float32Array, { most = 10, signal }: SearchOptions = {}): Promise<Hit[]> {
    const query = valuesOf(wanted);
    this.check(query, query?.length === this.width, `[${this.width}]`);
    const copy = query.slice();
    if (!(most >= 0)) throw mismatch("bad-input", "search", "0 or more as most", `${most}`, "leave it out for 10");
    const run = this.searching.then(() => {
      // As it is now: what is taken out while this search waits would leave it a hit short.
      return this.finder.find(this.rows, copy, Math.min(Math.floor(most), this.size), new Set(this.removed), signal);
    });
    this.searching = run.catch(() => {});
    return (await run).map((hit) => ({ ...hit, name: this.names[hit.index] }));
  }

  /**
   * All pairs of embeddings that are near each other, in no certain order: none is missed. Every two are compared, by
   * integers first where they are many. Those that are added or taken out meanwhile do not count.
   */
  async *pairs(options: NearOptions): AsyncGenerator<Pair, void, undefined> {
    const removed = new Set(this.removed);
    const kept = (first: number, second: number) => !(removed.has(first) || removed.has(second));
    for await (const some of this.near(options, this.rows.size, kept)) yield* some;
  }

  /**
   * Embeddings joined into groups wherever two are near each other, so that the ends of a chain may be further apart. In
   * each the one added first is the first, and the scores are those with it. Those near no other are in no group.
   */
  async groups(options: NearOptions): Promise<Hit[][]> {
    const count = this.rows.size;
    const removed = new Set(this.removed);
    const { Groups } = await import("./groups.ts");
    const groups = new Groups(count);
    const apart = (first: number, second: number) =>
      !(removed.has(first) || removed.has(second)) && groups.of(first) !== groups.of(second);
    for await (const some of this.near(options, count, apart)) {
      for (const { first, second } of some) groups.join(first, second);
    }
    const found: Hit[][] = [];
    for (const numbers of groups.found()) {
      const hits: Hit[] = [];
      const query = (await this.rows.row(numbers[0])).slice();
      for (const index of numbers) {
        options.signal?.throwIfAborted();
        hits.push({ index, score: product(await this.rows.row(index), 0, query), name: this.names[index] });
      }
      found.push(hits);
    }
    return found;
  }

  /** Ends the threads; a later search starts them again. */
  dispose(): void {
    this.finder.dispose();
  }

  /** As `dispose`, for `using index = …`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What this runtime has for searching. */
  protected abstract readonly runtime: Runtime;

  /** As a safetensors file, in chunks: `image_embeds` [n, width] without what was removed, and their names. */
  protected encoded(): AsyncGenerator<Uint8Array> {
    return writeIndex({ rows: this.rows, names: this.names, origin: this.made }, this.kept());
  }

  /**
   * As embeddings of pictures, for a file of any format.
   * @internal
   */
  protected stored(): Vectors {
    return vectorsOf({ rows: this.rows, names: this.names, origin: this.made }, this.kept());
  }

  /**
   * Takes what was read of a file, in place of its own.
   * @internal
   */
  protected take({ rows, names, origin }: StoredIndex): this {
    this.rows = rows;
    this.names = names;
    this.made = origin;
    return this;
  }

  private kept(): number[] {
    return this.names.flatMap((_, index) => (this.removed.has(index) ? [] : [index]));
  }

  /** Pairs of the first `count` whose score is at least `above`, as far as they are wanted. */
  private async *near(
    { above, onProgress, signal }: NearOptions,
    count: number,
    wanted: (first: number, second: number) => boolean,
  ): AsyncGenerator<Pair[], void, undefined> {
    if (!Number.isFinite(above)) {
      throw mismatch("bad-input", "above", "the least score of a pair", `${above}`, "pass 0.97, say");
    }
    signal?.throwIfAborted();
    const many = (count ** 2 / 2) * this.width >= MANY;
    const [{ findPairs }, { openThreads }] = await Promise.all([import("./pairs.ts"), import("./open-scan.ts")]);
    const opened = many ? await openThreads(this.options.threads, this.runtime) : undefined;
    try {
      yield* findPairs(this.rows, { count, above, onProgress, signal, wanted, backend: opened?.backend });
    } finally {
      opened?.close();
    }
  }

  private async openScan(): Promise<OpenScan | undefined> {
    const { openScan } = await import("./open-scan.ts");
    return openScan(this.width, this.options.threads, this.runtime);
  }

  private check(values: Float32Array, good: boolean, shape: string): void {
    if (values instanceof Float32Array && good && values.every(Number.isFinite)) return;
    const found = `${values?.length} values`;
    throw mismatch("bad-input", "VectorIndex", `finite embeddings of ${shape}`, found, "embed with one model");
  }

  private checkIndex(index: number): void {
    if (Number.isInteger(index) && index >= 0 && index < this.rows.size && !this.removed.has(index)) return;
    const wanted = `the number of one of ${this.size} embeddings`;
    throw mismatch("bad-input", "VectorIndex", wanted, `${index}`, "take it from a hit");
  }
}

/** The numbers of embeddings, in whichever form they were handed in. */
function valuesOf(embeddings: Embeddings | Float32Array): Float32Array {
  return embeddings instanceof Float32Array ? embeddings : embeddings?.data;
}
