/**
 * SigLIP in pages and workers: everything that bundlers and browsers get from `siglip`.
 * @module siglip
 */

import { findFiles } from "./browser/find.ts";
import { type BrowserImage, browserPlatform } from "./browser/platform.ts";
import type { CachedModel } from "./browser/storage/cache.ts";
import { type LoadOptions, loadModel } from "./siglip/load.ts";
import { Siglip as SiglipModel } from "./siglip/siglip.ts";

export type { BrowserImage } from "./browser/platform.ts";
export type { CachedModel } from "./browser/storage/cache.ts";
export { VectorIndex } from "./browser/vector-index.ts";
export type { LoadIndexOptions } from "./search/index-file.ts";
export type { Pair } from "./search/pairs.ts";
export type { Hit, IndexOptions, NearOptions, SearchOptions } from "./search/vector-index.ts";
export * from "./siglip/public.ts";

/** A SigLIP model in a page or a worker: pictures are URLs, files, bytes, whatever can be drawn, or pixels. */
export class Siglip extends SiglipModel<BrowserImage> {
  /**
   * Loads a model: `"demo"` (the one embedded in this package, 7 MB that come only then), an id of the Hub (`org/name` or
   * `org/name@revision`), the URL of a folder with `config.json`, `model.safetensors` (or its shards and index) and, for texts,
   * `spiece.model`, the URL of a safetensors or big_vision `.npz` file beside these (a string with a scheme, or relative to the page when it begins with
   * `.` or `/`), or the files themselves as someone chose or dropped them. A folder may be open_clip's as well. Rejects with a SiglipError for whatever is missing, damaged or
   * contradictory, and with the signal's reason when it is aborted; nothing stays allocated then.
   */
  static async load(model: string | URL | Iterable<File>, options: LoadOptions = {}): Promise<Siglip> {
    return new Siglip(await loadModel(await findFiles(model, options), browserPlatform, options));
  }
}

/** The models in the browser's cache, in each precision; none where the browser has no storage for one. */
export async function listCached(): Promise<CachedModel[]> {
  return (await import("./browser/storage/cache.ts")).listCached();
}

/**
 * Deletes a model from the browser's cache: one that `listCached` names, all of that name, or everything. Rejects with a SiglipError
 * where one is being written.
 */
export async function deleteCached(model?: CachedModel | string): Promise<void> {
  return (await import("./browser/storage/cache.ts")).deleteCached(model);
}
