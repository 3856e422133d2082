import { LanceIndex } from "../node/formats/lance-index.ts";
import { VectorIndex } from "../node.ts";
import type { Hit, SearchOptions } from "../search/vector-index.ts";

/** An index that can be asked, wherever its embeddings are. */
export interface SearchIndex extends Disposable {
  readonly width: number;
  readonly size: number;
  readonly origin: Readonly<Record<string, string>>;
  search(wanted: Float32Array, options?: SearchOptions): Promise<Hit[]>;
}

/**
 * Opens an index to be searched: a LanceDB table where it lies, unless its embeddings are integers, which LanceDB does not
 * search; any other file as a VectorIndex.
 */
export async function openSearchIndex(
  path: string,
  options: { readonly threads?: number; readonly signal?: AbortSignal },
): Promise<SearchIndex> {
  if (/\.lance[/\\]*$/i.test(path)) {
    const index = await LanceIndex.open(path, options.signal);
    if (index.dtype !== "i8") return index;
    index.dispose();
  }
  return VectorIndex.load(path, options);
}
