// The worker that a model lives in: answers calls by number with what the library returns.
import { type Embeddings, type LoadProgress, Siglip } from "../../index.ts";
import type { ModelOptions, ModelSource, Picture } from "./remote.ts";

let model: Siglip;

const calls = {
  async load(source: ModelSource, options: ModelOptions) {
    model = await Siglip.load(source, {
      ...options,
      onProgress: (progress) => answer({ progress }),
      onWarning: (warning) => answer({ warning }),
    });
    return { dim: model.dim, device: model.device, version: model.version };
  },
  embedImages: (images: readonly Picture[]) => model.embedImages(images),
  embedTexts: (texts: readonly string[]) => model.embedTexts(texts),
  similarity: async (images: Embeddings, texts: Embeddings) => model.similarity(images, texts),
};

/** What can be called, "load" first. */
export type Calls = typeof calls;

/** A call on its way here. */
export interface Call {
  readonly id: number;
  readonly name: keyof Calls;
  readonly args: readonly unknown[];
}

/** What comes back: a call's result or error, or news while a model loads. */
export type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: unknown }
  | { readonly progress: LoadProgress }
  | { readonly warning: string };

function answer(message: Answer): void {
  self.postMessage(message);
}

self.onmessage = async ({ data: { id, name, args } }: MessageEvent<Call>) => {
  try {
    const call = calls[name] as (...args: readonly unknown[]) => Promise<unknown>;
    answer({ id, result: await call(...args) });
  } catch (error) {
    answer({ id, error: new Error(error instanceof Error ? error.message : String(error)) });
  }
};
