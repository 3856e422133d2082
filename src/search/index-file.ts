import { readHeader, writeSafetensors } from "../checkpoint/safetensors.ts";
import type { Source } from "../checkpoint/source.ts";
import { mismatch } from "../support/error.ts";
import type { FloatDType } from "../support/numbers.ts";
import { Rows } from "./rows.ts";

/** Options of loading an index. */
export interface LoadIndexOptions {
  /** Which embeddings of the file: of pictures by default, where it has any, else of texts. */
  readonly kind?: "image" | "text";
  /** From so many bytes of float32 on embeddings stay in the file, which must not change: by default 1 GiB. */
  readonly inFileFrom?: number;
  /** Rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** What a file has for an index. */
export interface StoredIndex {
  readonly rows: Rows;
  /** As many; undefined where one has none. */
  readonly names: (string | undefined)[];
  /** Whether rows stay in the file, which is not to be closed then. */
  readonly inFile: boolean;
}

const DTYPES: readonly string[] = ["F32", "F16", "BF16"] satisfies FloatDType[];

/**
 * Embeddings from a safetensors file as `siglip embed` writes it: `image_embeds` or `text_embeds` [n, width], their
 * names in the metadata as JSON (`images`, `texts`).
 */
export async function readIndex(source: Source, options: LoadIndexOptions = {}): Promise<StoredIndex> {
  const { signal, inFileFrom = 2 ** 30 } = options;
  const { tensors, metadata } = await readHeader(source, signal);
  const kinds = options.kind ? [options.kind] : (["image", "text"] as const);
  const kind = kinds.find((one) => tensors.has(`${one}_embeds`));
  const info = kind && tensors.get(`${kind}_embeds`);
  if (info?.shape.length !== 2 || !(info.shape[1] >= 1) || !DTYPES.includes(info.dtype)) {
    const wanted = `${kinds.map((one) => `${one}_embeds`).join(" or ")} [n, width] of ${DTYPES.join(", ")}`;
    const found = info ? `${info.dtype} [${info.shape}]` : `${tensors.size} other tensors`;
    throw mismatch("bad-input", source.name, wanted, found, "write it with siglip embed or an index's save");
  }
  const [count, width] = info.shape;
  const names = namesOf(metadata.get(`${kind}s`), count, source.name);
  const rows = new Rows(width);
  const bytes = (info.end - info.begin) / Math.max(1, count);
  const stored = { source, dtype: info.dtype as FloatDType, begin: info.begin, count, bytes };
  const inFile = 4 * count * width >= inFileFrom;
  if (inFile) await rows.addStored(stored, signal);
  else await rows.addCopy(stored, signal);
  return { rows, names, inFile };
}

function namesOf(json: string | undefined, count: number, file: string): (string | undefined)[] {
  if (json === undefined) return new Array(count).fill(undefined);
  let names: unknown;
  try {
    names = JSON.parse(json);
  } catch {
    names = undefined;
  }
  if (
    Array.isArray(names) &&
    names.length === count &&
    names.every((name) => typeof name === "string" || name === null)
  )
    return names.map((name) => name ?? undefined);
  throw mismatch("bad-input", file, `a JSON list of ${count} names`, "something else", "write the file again");
}

/** An index as such a file, in chunks. */
export function writeIndex(
  { rows, names }: { rows: Rows; names: readonly (string | undefined)[] },
  kept: readonly number[],
): AsyncGenerator<Uint8Array> {
  const data = async function* (): AsyncGenerator<Uint8Array> {
    for (let from = 0; from < kept.length; from += 256) {
      const some = kept.slice(from, from + 256);
      const values = new Float32Array(some.length * rows.width);
      for (const [at, index] of some.entries()) values.set(await rows.row(index), at * rows.width);
      yield new Uint8Array(values.buffer);
    }
  };
  const tensor = { name: "image_embeds", dtype: "F32" as const, shape: [kept.length, rows.width], data: data() };
  const named = kept.map((index) => names[index] ?? null);
  return writeSafetensors([tensor], named.some((name) => name !== null) ? [["images", JSON.stringify(named)]] : []);
}
