import type { Source } from "../checkpoint/source.ts";
import { mismatch } from "../support/error.ts";
import { decodeVector } from "./encode-vector.ts";
import { BLOCK, Rows } from "./rows.ts";
import type { Kind, VectorKey, Vectors } from "./vectors.ts";
import { encodeVectors, type FileVectors, readVectors } from "./vectors-file.ts";

/** Options of loading an index. */
export interface LoadIndexOptions {
  /** Which embeddings of the file: of pictures by default, where it has any, else of texts. */
  readonly kind?: "image" | "text";
  /**
   * From so many bytes of float32 on embeddings stay in a file whose format lays them one after another (.safetensors,
   * .npy), which must not change: by default 1 GiB. Those of other formats are held in memory.
   */
  readonly inFileFrom?: number;
  /** Rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** What a file has for an index. */
export interface StoredIndex {
  readonly rows: Rows;
  /** As many; undefined where one has none. */
  readonly names: (string | undefined)[];
  /** What made them, as far as the file says. */
  readonly origin: Readonly<Record<string, string>>;
  /** Whether rows stay in the file, which is not to be closed then. */
  readonly inFile: boolean;
}

/**
 * Embeddings from a safetensors file as `siglip embed` writes it: `image_embeds` or `text_embeds` [n, width], their
 * names in the metadata as JSON (`images`, `texts`).
 */
export async function readIndex(source: Source, options: LoadIndexOptions = {}): Promise<StoredIndex> {
  return indexOf(await readVectors(source, options.signal), source.name, options);
}

/** One kind of a file's embeddings, as float32. */
export async function indexOf(
  vectors: Vectors & Partial<FileVectors>,
  file: string,
  { kind: wanted, signal, inFileFrom = 2 ** 30 }: LoadIndexOptions = {},
): Promise<StoredIndex> {
  const { counts, width, dtype, origin } = vectors.header;
  const kind = wanted ?? (counts.image > 0 || counts.text === 0 ? "image" : "text");
  const count = counts[kind];
  const stored = await vectors.stored?.(kind, signal);
  if (wanted !== undefined && count === 0 && !stored) {
    throw mismatch("bad-input", file, `embeddings of ${kind}s`, "none", "ask for the other kind");
  }
  const rows = new Rows(width);
  const names: (string | undefined)[] = [];
  const inFile = stored !== undefined && 4 * count * width >= inFileFrom;
  if (stored) {
    if (inFile) await rows.addStored(stored, signal);
    else await rows.addCopy(stored, signal);
    for await (const { name } of ofKind(vectors.keys(signal), kind)) names.push(name || undefined);
  } else {
    let block = new Float32Array(0);
    let filled = 0;
    for await (const row of ofKind(vectors.rows(signal), kind)) {
      if (filled === block.length) {
        rows.add(block);
        block = new Float32Array(Math.min(BLOCK, count - names.length) * width);
        filled = 0;
      }
      block.set(decodeVector(row, dtype), filled);
      filled += width;
      names.push(row.name || undefined);
    }
    rows.add(block.subarray(0, filled));
  }
  return { rows, names, origin, inFile };
}

/** Those of a kind; texts come last. */
async function* ofKind<T extends VectorKey>(items: AsyncIterable<T>, kind: Kind): AsyncGenerator<T> {
  for await (const item of items) {
    if (item.kind === kind) yield item;
    else if (kind === "image") return;
  }
}

/** An index as embeddings of pictures for a file, without what was removed; those without a name get an empty one. */
export function vectorsOf(
  { rows, names, origin }: Pick<StoredIndex, "rows" | "origin"> & { readonly names: readonly (string | undefined)[] },
  kept: readonly number[],
): Vectors {
  const key = (index: number) => ({ kind: "image" as const, name: names[index] ?? "", stamp: "" });
  return {
    header: { width: rows.width, dtype: "f32", counts: { image: kept.length, text: 0 }, origin },
    async *keys() {
      for (const index of kept) yield key(index);
    },
    async *rows(signal) {
      for (const index of kept) {
        signal?.throwIfAborted();
        const { buffer, byteOffset, byteLength } = await rows.row(index);
        yield { bytes: new Uint8Array(buffer, byteOffset, byteLength), scale: 1, ...key(index) };
      }
    },
  };
}

/** An index as a safetensors file, in chunks. */
export function writeIndex(
  index: Parameters<typeof vectorsOf>[0],
  kept: readonly number[],
): AsyncGenerator<Uint8Array> {
  return encodeVectors(vectorsOf(index, kept));
}
