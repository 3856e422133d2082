import type { Embeddings } from "../siglip/embeddings.ts";
import type { Vectors } from "./vectors.ts";

/** What is to be embedded: paths of pictures, or texts. */
export interface Items {
  readonly kind: "image" | "text";
  readonly names: readonly string[];
}

/** What has been embedded: a row for every name. */
export interface Embedded extends Items {
  readonly embeddings: Embeddings;
}

/** Embeddings in memory for a file, pictures first. */
export function vectorsOf(parts: readonly Embedded[], width: number): Vectors {
  const counts = { image: 0, text: 0 };
  for (const { kind, names } of parts) counts[kind] += names.length;
  const keys = parts.flatMap(({ kind, names }) => names.map((name) => ({ kind, name, stamp: "" })));
  return {
    header: { width, dtype: "f32", counts, origin: {} },
    async *keys() {
      yield* keys;
    },
    async *rows() {
      for (const { kind, names, embeddings } of parts) {
        const { buffer, byteOffset } = embeddings.data;
        for (const [row, name] of names.entries()) {
          yield {
            kind,
            name,
            stamp: "",
            bytes: new Uint8Array(buffer, byteOffset + 4 * width * row, 4 * width),
            scale: 1,
          };
        }
      }
    },
  };
}
