import { formatOf } from "../node/formats/formats.ts";
import { decodeVector } from "../search/encode-vector.ts";
import type { VectorHeader } from "../search/vectors.ts";
import { mismatch } from "../support/error.ts";
import type { Named } from "./labelled.ts";

/** The embeddings of pictures in a file, which is read from begin to end. */
export interface IndexPictures {
  readonly header: VectorHeader;
  /** Each by its name, or without one by its number. */
  read(signal: AbortSignal): AsyncGenerator<Named>;
  close(): Promise<void>;
}

/** Opens a file of embeddings, in any format. Rejects with a SiglipError where there are none of pictures. */
export async function openPictures(path: string, signal: AbortSignal): Promise<IndexPictures> {
  const format = formatOf(path) ?? formatOf(".safetensors")!;
  const vectors = await format.open(path, signal);
  const { header } = vectors;
  if (header.counts.image === 0 && header.counts.text > 0) {
    await vectors.close();
    throw mismatch("bad-input", path, "embeddings of pictures", "those of texts", "name a file with pictures");
  }
  return {
    header,
    async *read(signal) {
      let number = 0;
      for await (const row of vectors.rows(signal)) {
        if (row.kind !== "image") return;
        yield { name: row.name || `${number}`, embedding: decodeVector(row, header.dtype) };
        number++;
      }
    },
    close: () => vectors.close(),
  };
}
