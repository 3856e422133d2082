import type { Hit, SearchOptions } from "../../search/vector-index.ts";
import type { Kind, VectorDType } from "../../search/vectors.ts";
import { mismatch } from "../../support/error.ts";
import { lance, lanceAttempt } from "./lance-table.ts";
import { type OpenLance, openLance } from "./read-lance.ts";

/** Options of a search in a LanceDB table. */
export interface LanceSearchOptions extends SearchOptions {
  /** Of pictures by default, where there are any, else of texts. */
  readonly kind?: Kind;
  /** How many parts of an index are looked into, by default 32: more find more, and take longer. */
  readonly probes?: number;
}

/** Options of an index. */
export interface LanceBuildOptions {
  /** Parts, by default one for each 4096 embeddings: a quarter of the time that the square root of a million takes. */
  readonly partitions?: number;
  /** Bytes that stand for an embedding, a divisor of its width: by default an eighth of it, of a short one a quarter, where that is one. */
  readonly subVectors?: number;
  /** After an abort the index is not waited for; LanceDB may still finish it, as long as the process lives. */
  readonly signal?: AbortSignal;
}

/** An index of fewer embeddings than this cannot be trained, and is of no use. */
const LEAST = 256;

/** Embeddings in a part. */
const PART = 4096;

/**
 * So many times as many as are wanted are compared by all of their values: an index's codes do not tell neighbours in a
 * dense cluster apart. Of the ten nearest in a million of width 768 (bench/lance.ts), 16 times as many find 0.90, 32
 * times 0.98, and 64 times 0.997 and more, in 4 ms more.
 */
const REFINED = 64;

/**
 * A LanceDB table to be searched where it lies, of any size: by its IVF-PQ index where `build` made one, which finds
 * nearly all of the nearest, else by going through all of it.
 */
export class LanceIndex {
  private readonly path: string;
  private readonly opened: OpenLance;

  private constructor(path: string, opened: OpenLance) {
    this.path = path;
    this.opened = opened;
  }

  /** Opens the table at a path, or a URL as LanceDB takes it. Rejects with a SiglipError where there is none. */
  static async open(path: string, signal?: AbortSignal): Promise<LanceIndex> {
    return new LanceIndex(path, await openLance(path, signal));
  }

  /** Values in an embedding. */
  get width(): number {
    return this.opened.header.width;
  }

  /** How values are stored; of integers LanceDB searches none. */
  get dtype(): VectorDType {
    return this.opened.header.dtype;
  }

  /** How many embeddings there are, of pictures and texts. */
  get size(): number {
    const { image, text } = this.opened.header.counts;
    return image + text;
  }

  /** What made them, as far as the table says. */
  get origin(): Readonly<Record<string, string>> {
    return this.opened.header.origin;
  }

  /** Those nearest to an embedding [width] by cosine, best first; a hit's number is its row's id. */
  async search(query: Float32Array, options: LanceSearchOptions = {}): Promise<Hit[]> {
    const { most = 10, probes = 32, signal } = options;
    const { table, columns, header } = this.opened;
    const { counts, dtype, width } = header;
    if (!(query instanceof Float32Array) || query.length !== width || !query.every(Number.isFinite)) {
      const found = `${query?.length} values`;
      throw mismatch("bad-input", this.path, `a finite query of ${width} values`, found, "embed with one model");
    }
    if (dtype === "i8") {
      const wanted = "embeddings of floats, which LanceDB can search";
      throw mismatch("unsupported", this.path, wanted, "integers of 8 bits", "write them with --vectors f32 or f16");
    }
    const kind = options.kind ?? (counts.image > 0 ? "image" : "text");
    const limit = Math.min(Math.floor(most), counts[kind]);
    if (!(limit > 0)) return [];
    signal?.throwIfAborted();
    const read = async () => {
      const wanted = ["id", "name"].filter((name) => columns.has(name));
      let search = table.query().nearestTo(query).distanceType("cosine").nprobes(probes).refineFactor(REFINED);
      // A table of one kind needs no filter.
      if (counts.image > 0 && counts.text > 0) search = search.where(`kind = '${kind}'`);
      const hits: Hit[] = [];
      for await (const batch of search.select([...wanted, "_distance"]).limit(limit)) {
        const columnOf = (name: string) => [...(batch.getChild(name) ?? [])];
        const [ids, names, distances] = ["id", "name", "_distance"].map(columnOf);
        for (const [i, distance] of distances.entries()) {
          const name = names[i] === "" ? undefined : (names[i] as string | undefined);
          hits.push({ index: Number(ids[i] ?? hits.length), score: 1 - Number(distance), name });
        }
      }
      return hits.sort((a, b) => b.score - a.score || a.index - b.index);
    };
    return lanceAttempt(this.path, "read", read, signal);
  }

  /** Builds an IVF-PQ index by cosine, in place of any that is there; rejects for too few embeddings to train it. */
  async build({ partitions, subVectors, signal }: LanceBuildOptions = {}): Promise<void> {
    const { table, header } = this.opened;
    const { width, dtype } = header;
    if (dtype === "i8" || this.size < LEAST) {
      const found = dtype === "i8" ? "integers of 8 bits" : `${this.size}`;
      const advice = dtype === "i8" ? "write them with --vectors f32 or f16" : "search without one";
      throw mismatch("unsupported", this.path, `${LEAST} embeddings of floats or more to index`, found, advice);
    }
    const sizes = width >= 512 ? [8, 4, 2, 1] : [4, 2, 1];
    const numSubVectors = subVectors ?? sizes.map((size) => width / size).find(Number.isInteger)!;
    if (!Number.isInteger(width / numSubVectors)) {
      const found = `${numSubVectors}`;
      throw mismatch("bad-input", this.path, `sub-vectors that divide ${width}`, found, "leave their number out");
    }
    const numPartitions = partitions ?? Math.ceil(this.size / PART);
    const { Index } = lance(this.path);
    const config = Index.ivfPq({ numPartitions, numSubVectors, distanceType: "cosine" });
    await lanceAttempt(this.path, "write", () => table.createIndex("embedding", { config, replace: true }), signal);
  }

  /** Whether `build` has made an index. */
  async built(): Promise<boolean> {
    const indices = await lanceAttempt(this.path, "read", () => this.opened.table.listIndices());
    return indices.some(({ columns }) => columns.includes("embedding"));
  }

  /** Closes the table. */
  dispose(): void {
    this.opened.table.close();
  }

  /** As `dispose`, for `using index = …`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
