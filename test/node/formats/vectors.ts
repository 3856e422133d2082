import { encodeVector } from "../../../src/search/encode-vector.ts";
import type { Kind, StoredVector, VectorDType, VectorHeader, Vectors } from "../../../src/search/vectors.ts";
import { random } from "../../judge/reference.ts";

export const DTYPES = ["f32", "f16", "i8"] as const;

export const ORIGIN = { model: "google/siglip2-base-patch16-224", revision: '5c2a ü "quoted"', dtype: "q8" };

/** Names that formats have trouble with. */
export const NAMES = [
  "a.jpg",
  "ü/日本語/🚲.png",
  'say "no"\\,\n\t',
  "",
  "../up",
  "__proto__",
  "\u0000",
  "'; drop",
  "\ufeffb",
];

/** A vector of values that are rounded in every way, with zeros of both signs, and the greatest and least of all. */
export function values(width: number, seed: number): Float32Array {
  const data = random(width, seed);
  const special = [0, -0, 1, -1, 2 ** -149, 1e-8, 65504, 0.1];
  for (let i = 0; i < width; i += 3) data[i] = special[(i / 3 + seed) % special.length];
  return data;
}

/** So many embeddings of each kind, made anew at each way through them. */
export function make(
  counts: Record<Kind, number>,
  dtype: VectorDType = "f32",
  width = 24,
  origin: Record<string, string> = ORIGIN,
  nameOf = (row: number) => `${NAMES[row % NAMES.length]}${row < NAMES.length ? "" : row}`,
  valuesOf: (width: number, seed: number) => Float32Array = values,
): Vectors {
  const keyOf = (kind: Kind, row: number) => ({
    kind,
    name: nameOf(row),
    stamp: kind === "image" ? `${row * 1000}-${row}` : "",
  });
  const each = function* () {
    for (const kind of ["image", "text"] as const) {
      for (let row = 0; row < counts[kind]; row++) yield { kind, row };
    }
  };
  return {
    header: { width, dtype, counts, origin },
    async *keys() {
      for (const { kind, row } of each()) yield keyOf(kind, row);
    },
    async *rows() {
      for (const { kind, row } of each()) {
        yield { ...keyOf(kind, row), ...encodeVector(valuesOf(width, row + (kind === "text" ? 7 : 1)), dtype) };
      }
    },
  };
}

/** The same names without the mark at their beginning, which some readers of texts take for one of byte order. */
export const unmarked = (row: number) =>
  `${NAMES[row % NAMES.length].replace(/^\ufeff/, "")}${row < NAMES.length ? "" : row}`;

/** Everything that embeddings hold, for comparison to the bit. */
export async function contents(vectors: Vectors) {
  const rows: StoredVector[] = [];
  for await (const row of vectors.rows()) rows.push({ ...row, bytes: row.bytes.slice() });
  const keys: object[] = [];
  for await (const key of vectors.keys()) keys.push(key);
  const header: VectorHeader = vectors.header;
  return { header, keys, rows: rows.map((row) => ({ ...row, bytes: Buffer.from(row.bytes).toString("hex") })) };
}
