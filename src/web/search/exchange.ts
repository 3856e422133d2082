import { blobSource } from "../../files/blob.ts";
import { decodeVector } from "../../search/encode-vector.ts";
import type { VectorKey, Vectors } from "../../search/vectors.ts";
import { encodeVectors, readVectors } from "../../search/vectors-file.ts";
import { mismatch } from "../../support/error.ts";
import { checkOrigin } from "../models/origin.ts";
import type { RemoteModel } from "../models/remote.ts";
import type { Library } from "./library.ts";
import { type Entry, idOf, nameOf, stampOf } from "./store.ts";

/** Pictures that are kept at a time. */
const TOGETHER = 500;

/** The library's embeddings by the model in use as a safetensors file, which `siglip search` and others read. */
export async function exportIndex(library: Library, { dim, origin }: RemoteModel): Promise<Blob> {
  const pictures = library.searchable;
  const key = (id: string): VectorKey => {
    const picture = library.pictures.get(id)!;
    return { kind: "image", name: nameOf(picture), stamp: stampOf(picture) };
  };
  const all = pictures.map(key);
  const vectors: Vectors = {
    header: { width: dim, dtype: "f32", counts: { image: all.length, text: 0 }, origin },
    async *keys() {
      yield* all;
    },
    async *rows() {
      for (const [i, id] of pictures.entries()) {
        const { buffer } = (await library.embeddingOf(id))!;
        yield { ...all[i], bytes: new Uint8Array(buffer), scale: 1 };
      }
    },
  };
  const parts: BlobPart[] = [];
  for await (const part of encodeVectors(vectors)) parts.push(part as Uint8Array<ArrayBuffer>);
  return new Blob(parts);
}

/** How many pictures of a file were new, and how many there were already. */
export interface Imported {
  readonly added: number;
  readonly known: number;
}

/**
 * Adds the pictures of a file that `exportIndex` or `siglip embed` wrote; one of a name that is there stays as it is.
 * Rejects with a SiglipError, and adds nothing, where the file is damaged or another model made it.
 */
export async function importIndex(file: File, library: Library, { dim, origin }: RemoteModel): Promise<Imported> {
  const vectors = await readVectors(blobSource(file, file.name));
  const { header } = vectors;
  if (header.counts.image === 0) {
    const found = `${header.counts.text} of texts`;
    throw mismatch("bad-input", file.name, "embeddings of pictures", found, "choose another file");
  }
  if (header.width !== dim) {
    const wanted = `embeddings of ${dim} values`;
    throw mismatch("bad-input", file.name, wanted, `${header.width}`, "load the model that made them");
  }
  checkOrigin(file.name, header.origin, origin);
  // Once to see that all of it is sound.
  for await (const _ of vectors.rows());
  const added = await library.addEmbedded(partsOf(vectors, file.name));
  return { added, known: header.counts.image - added };
}

/** The pictures of a file as the library keeps them, some at a time; those without a name are numbered. */
async function* partsOf({ header, rows }: Vectors, file: string): AsyncGenerator<Entry[]> {
  let part: Entry[] = [];
  let count = 0;
  for await (const row of rows()) {
    if (row.kind === "text") break;
    const place = placeOf(row.name || `${file}/${++count}`);
    const picture = { id: idOf(nameOf(place), row.stamp), ...place };
    part.push({ picture, embedding: decodeVector(row, header.dtype).slice(), thumbnail: undefined });
    if (part.length < TOGETHER) continue;
    yield part;
    part = [];
  }
  yield part;
}

/** A name as the folder and the path below it; what begins elsewhere, at a disk's root or on a server, is all path. */
function placeOf(name: string): { folder: string; path: string } {
  const [folder, ...rest] = name.split("/");
  if (rest.length === 0 || folder === "" || folder.endsWith(":")) return { folder: "", path: name };
  return { folder, path: rest.join("/") };
}
