import { blobSource } from "../files/blob.ts";
import { type LoadIndexOptions, readIndex } from "../search/index-file.ts";
import { VectorIndex as AnyVectorIndex, type IndexOptions } from "../search/vector-index.ts";
import { browserPlatform } from "./platform.ts";

/** An exact index in pages and workers: it is kept in a Blob, which can be downloaded or put into any storage. */
export class VectorIndex extends AnyVectorIndex {
  protected readonly runtime = browserPlatform;

  /**
   * An index from a safetensors file, one that `save` or `siglip embed` wrote. A large one is read from the Blob at every
   * search. Rejects with a SiglipError for a file that is damaged or holds something else.
   */
  static async load(file: Blob, options: IndexOptions & LoadIndexOptions = {}): Promise<VectorIndex> {
    const name = "name" in file ? String(file.name) : "the index";
    const stored = await readIndex(blobSource(file, name), options);
    return new VectorIndex(stored.rows.width, options).take(stored);
  }

  /** The index as a file, without what was removed. */
  async save(): Promise<Blob> {
    const parts: BlobPart[] = [];
    for await (const chunk of this.encoded()) parts.push(chunk as Uint8Array<ArrayBuffer>);
    return new Blob(parts);
  }
}
