/**
 * `siglip` where code may not be made at run time, as in Cloudflare Workers: one script like `siglip/static`, and beside it its
 * kernels, compiled when both are deployed. Bundlers choose it by the export condition "workerd".
 * @module siglip/workerd
 */

// The build puts a bundle in the place of this module: see src/node/bundle-static.ts.
import { findFiles } from "./browser/find.ts";
import type { BrowserImage } from "./browser/platform.ts";
import { type LoadOptions, loadModel } from "./siglip/load.ts";
import { Siglip as SiglipModel } from "./siglip/siglip.ts";
import { workerdPlatform } from "./workerd/platform.ts";

export * from "./index.ts";

/** A SigLIP model in a Worker, on one thread of WebAssembly: pictures are URLs, files' bytes or pixels. */
export class Siglip extends SiglipModel<BrowserImage> {
  /**
   * Loads a model: an id of the Hub (`org/name` or `org/name@revision`), the URL of a folder or of a file of weights, or a list of
   * Files; see `Siglip.load` of `siglip`, which has the demo model, too. Rejects with a SiglipError, and with the signal's reason when
   * it is aborted.
   */
  static async load(model: string | URL | Iterable<File>, options: LoadOptions = {}): Promise<Siglip> {
    return new Siglip(await loadModel(await findFiles(model, options), workerdPlatform, options));
  }
}
