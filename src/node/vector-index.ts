import { indexOf, type LoadIndexOptions } from "../search/index-file.ts";
import { VectorIndex as AnyVectorIndex, type IndexOptions } from "../search/vector-index.ts";
import { filePath } from "./file.ts";
import { type Format, formatOf } from "./formats/formats.ts";
import { nodePlatform } from "./platform.ts";

/** An exact index in Node, Deno and Bun: it is kept in a file. */
export class VectorIndex extends AnyVectorIndex {
  protected readonly runtime = nodePlatform;
  private close: (() => Promise<void>) | undefined;

  /**
   * An index from a file that `save` or `siglip embed` wrote, of whichever format its name ends in: .safetensors (or any
   * other name), .npy, .jsonl, .parquet, .sqlite, .lance. Embeddings are held as float32, which takes 4 bytes a value; of
   * a large .safetensors or .npy they stay in the file, which must not change until `dispose`. Rejects with a SiglipError
   * for a file that is damaged or holds something else.
   */
  static async load(path: string | URL, options: IndexOptions & LoadIndexOptions = {}): Promise<VectorIndex> {
    const file = path instanceof URL ? filePath(path) : path;
    const vectors = await formatFor(file).open(file, options.signal);
    let inFile = false;
    try {
      const stored = await indexOf(vectors, file, options);
      const index = new VectorIndex(stored.rows.width, options).take(stored);
      inFile = stored.inFile;
      if (inFile) index.close = () => vectors.close();
      return index;
    } finally {
      if (!inFile) await vectors.close();
    }
  }

  /**
   * Writes the index as float32, without what was removed, in the format that the name ends in, or as safetensors; what
   * stood at the path stays there until all of it is written.
   */
  async save(path: string | URL, signal?: AbortSignal): Promise<void> {
    const file = path instanceof URL ? filePath(path) : path;
    await formatFor(file).write(file, this.stored(), signal);
  }

  /** Ends the threads and closes the file: an index that was left in its file cannot be searched any more. */
  override dispose(): void {
    super.dispose();
    this.close?.().catch(() => {});
    this.close = undefined;
  }
}

function formatFor(path: string): Format {
  return formatOf(path) ?? formatOf(".safetensors")!;
}
