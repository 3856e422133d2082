import type { NodeImage } from "../node/platform.ts";
import type { VectorKey } from "../search/vectors.ts";

/** Something to be embedded, and where it comes from. */
export interface Entry extends VectorKey {
  /**
   * The picture as a model takes it, or the text; asked for only where there is no embedding of it yet, and before the
   * next entry is asked for. Rejects with a SiglipError where there is nothing to be had.
   */
  load(signal?: AbortSignal): Promise<NodeImage | string>;
}

/** Entries of one source in an order that is the same on every machine; few are held at a time. */
export type Source = AsyncIterable<Entry>;
