// The worker that a model lives in: the library's calls, for the page to call.
import { expose } from "comlink";
import { type Embeddings, type LoadProgress, Siglip } from "../../index.ts";
import type { ModelOptions, ModelSource, Picture } from "./remote.ts";

let model: Siglip;

const calls = {
  /** Loads the model, to be called first; gives what the page shows of it. */
  async load(source: ModelSource, options: ModelOptions, onProgress: (progress: LoadProgress) => void) {
    const warnings: string[] = [];
    const onWarning = (warning: string) => void warnings.push(warning);
    model = await Siglip.load(source, { ...options, onProgress, onWarning });
    return { dim: model.dim, device: model.device, version: model.version, warnings };
  },
  embedImages: (images: readonly Picture[]) => model.embedImages(images),
  embedTexts: (texts: readonly string[]) => model.embedTexts(texts),
  similarity: (images: Embeddings, texts: Embeddings) => model.similarity(images, texts),
};

/** What can be called. */
export type Calls = typeof calls;

expose(calls);
