/**
 * SigLIP in Node, Deno and Bun, which get this from `siglip` too: paths beside URLs, and decoders for PNG, JPEG, WebP, GIF, BMP and TIFF, and,
 * with packages of the user's, AVIF and HEIC.
 * @module siglip/node
 */

import { findFiles, type NodeModel } from "./node/find.ts";
import { type NodeImage, nodePlatform } from "./node/platform.ts";
import { type LoadOptions, loadModel } from "./siglip/load.ts";
import { Siglip as SiglipModel } from "./siglip/siglip.ts";

export { type CachedModel, deleteCached, listCached } from "./node/cache/list.ts";
export { type FileSource, fileSource } from "./node/file.ts";
export type { NodeModel } from "./node/find.ts";
export type { NodeImage } from "./node/platform.ts";
export { VectorIndex } from "./node/vector-index.ts";
export type { LoadIndexOptions } from "./search/index-file.ts";
export type { Pair } from "./search/pairs.ts";
export type { Hit, IndexOptions, NearOptions, SearchOptions } from "./search/vector-index.ts";
export * from "./siglip/public.ts";

/** A SigLIP model in Node, Deno or Bun: pictures are paths, URLs, bytes, Blobs or pixels. */
export class Siglip extends SiglipModel<NodeImage> {
  /**
   * Loads a model: `"demo"` (the one embedded in this package), the path or file URL of a folder with `config.json`,
   * `model.safetensors` (or its shards and index) and, for texts, `spiece.model`, the http or https URL of such a folder, either of a
   * safetensors or big_vision `.npz` file in one, an id of the Hub (`org/name` or `org/name@revision`, unless there is a folder of that name), or a list of
   * these files. A folder may be open_clip's as well. `HF_ENDPOINT` and `HF_TOKEN` are heeded. Rejects with a SiglipError for whatever is missing, damaged or contradictory,
   * and with the signal's reason when it is aborted; nothing stays allocated then.
   */
  static async load(model: NodeModel, options: LoadOptions = {}): Promise<Siglip> {
    return new Siglip(await loadModel(await findFiles(model, options), nodePlatform, options));
  }
}
