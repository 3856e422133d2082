import { encodeHeader, writeSafetensors } from "../checkpoint/safetensors.ts";
import { checkWritable, writeFileAtomic } from "../node/file.ts";
import type { Embeddings } from "../siglip/embeddings.ts";

/** What is to be embedded: paths of pictures, or texts. */
export interface Items {
  readonly kind: "image" | "text";
  readonly names: readonly string[];
}

/** What has been embedded: a row for every name. */
export interface Embedded extends Items {
  readonly embeddings: Embeddings;
}

/** The formats of `siglip embed`. */
export const FORMATS = ["safetensors", "jsonl", "npy"] as const;
export type Format = (typeof FORMATS)[number];

/** The format that the end of a file's name asks for, undefined for none of them. */
export function formatOf(path: string): Format | undefined {
  return FORMATS.find((format) => path.toLowerCase().endsWith(`.${format}`));
}

/**
 * Rejects now, before any work, for names that do not fit or a path that cannot be written; what stands there is left
 * alone.
 */
export async function rehearse(path: string, format: Format, items: readonly Items[]): Promise<void> {
  if (format === "safetensors") encodeHeader([], metadata(items));
  for (const file of format === "npy" ? [path, namesBeside(path)] : [path]) await checkWritable(file);
}

/**
 * Writes a file, and puts it in place when all of it is written; until then what stood there stays. An .npy file takes
 * one kind.
 */
export async function save(path: string, format: Format, parts: readonly Embedded[], signal: AbortSignal) {
  const chunks = { safetensors: () => safetensors(parts), jsonl: () => jsonLines(parts), npy: () => npy(parts[0]) };
  await writeFileAtomic(path, format === "npy" ? withNames() : chunks[format](), signal);

  // The names are put in place last, when all rows are on disk but not in place: a failure before this leaves both old
  // files.
  async function* withNames() {
    yield* chunks.npy();
    const names = new TextEncoder().encode(`${JSON.stringify(parts[0].names)}\n`);
    await writeFileAtomic(namesBeside(path), [names], signal);
  }
}

/** Where the names of an .npy file's rows are: cats.npy has them in cats.names.json. */
function namesBeside(path: string): string {
  return path.replace(/\.npy$/i, ".names.json");
}

function metadata(items: readonly Items[]): [string, string][] {
  return items.map(({ kind, names }) => [`${kind}s`, JSON.stringify(names)]);
}

function safetensors(parts: readonly Embedded[]): AsyncGenerator<Uint8Array> {
  const tensors = parts.map(({ kind, embeddings }) => ({
    name: `${kind}_embeds`,
    dtype: "F32" as const,
    shape: embeddings.shape,
    data: asBytes(embeddings.data),
  }));
  return writeSafetensors(tensors, metadata(parts));
}

function* jsonLines(parts: readonly Embedded[]): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const { kind, names, embeddings } of parts) {
    const [, width] = embeddings.shape;
    for (const [index, name] of names.entries()) {
      // Nine significant digits are enough to give every float32 back.
      const row = embeddings.data.subarray(index * width, (index + 1) * width);
      const embedding = Array.from(row, (value) => Number(value.toPrecision(9)));
      yield encoder.encode(`${JSON.stringify({ kind, name, embedding })}\n`);
    }
  }
}

/** Version 1.0 of the format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
function* npy({ embeddings: { data, shape } }: Embedded): Generator<Uint8Array> {
  const fields = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const length = Math.ceil((10 + fields.length + 1) / 64) * 64;
  const header = Buffer.from(`${`\x93NUMPY\x01\0\0\0${fields}`.padEnd(length - 1)}\n`, "latin1");
  header.writeUInt16LE(length - 10, 8);
  yield header;
  yield asBytes(data);
}

function asBytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
