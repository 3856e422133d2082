import { type LoadIndexOptions, readIndex } from "../search/index-file.ts";
import { VectorIndex as AnyVectorIndex, type IndexOptions } from "../search/vector-index.ts";
import { filePath, fileSource, writeFileAtomic } from "./file.ts";
import { nodePlatform } from "./platform.ts";

/** An exact index in Node, Deno and Bun: it is kept in a file. */
export class VectorIndex extends AnyVectorIndex {
  protected readonly runtime = nodePlatform;
  private close: (() => Promise<void>) | undefined;

  /**
   * An index from a safetensors file, one that `save` or `siglip embed` wrote. A large one stays in its file, which must
   * not change until `dispose`. Rejects with a SiglipError for a file that is damaged or holds something else.
   */
  static async load(path: string | URL, options: IndexOptions & LoadIndexOptions = {}): Promise<VectorIndex> {
    const source = await fileSource(path instanceof URL ? filePath(path) : path);
    let inFile = false;
    try {
      const stored = await readIndex(source, options);
      const index = new VectorIndex(stored.rows.width, options).take(stored);
      inFile = stored.inFile;
      if (inFile) index.close = () => source.close();
      return index;
    } finally {
      if (!inFile) await source.close();
    }
  }

  /** Writes the index, without what was removed; what stood at the path stays there until all of it is written. */
  async save(path: string | URL, signal?: AbortSignal): Promise<void> {
    await writeFileAtomic(path instanceof URL ? filePath(path) : path, this.encoded(), signal);
  }

  /** Ends the threads and closes the file: an index that was left in its file cannot be searched any more. */
  override dispose(): void {
    super.dispose();
    this.close?.().catch(() => {});
    this.close = undefined;
  }
}
