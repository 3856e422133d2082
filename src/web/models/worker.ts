// The worker that a model lives in: the library's calls, for the page to call.
import { expose } from "comlink";
import { type Embeddings, type LoadProgress, Siglip, SiglipError } from "../../index.ts";
import { originOf } from "./origin.ts";
import type { ModelOptions, ModelSource, NextPicture, Picture, TakeResults } from "./remote.ts";

let model: Siglip;

const calls = {
  /** Loads the model, to be called first; gives what the page shows of it. */
  async load(source: ModelSource, options: ModelOptions, onProgress: (progress: LoadProgress) => void) {
    const warnings: string[] = [];
    const onWarning = (warning: string) => void warnings.push(warning);
    model = await Siglip.load(source, { ...options, onProgress, onWarning });
    const { dim, device, version } = model;
    return { dim, device, version, origin: originOf(source, model), logit: readLogit(model), warnings };
  },
  embedImages: (images: readonly Picture[]) => model.embedImages(images),
  /** Resolves once `next` has no more pictures and `take` has what became of all. */
  async embedStream(next: NextPicture, take: TakeResults) {
    for await (const { embeddings } of model.embedStream(pictures(next))) {
      // Copies: a row that is kept or sent alone would take its whole batch along.
      await take(embeddings.map((one) => (one instanceof SiglipError ? one.message : one.slice())));
    }
  },
  embedTexts: (texts: readonly string[]) => model.embedTexts(texts),
  locate: (image: Picture, label: string, template: string) => model.locate(image, label, { templates: [template] }),
  similarity: (images: Embeddings, texts: Embeddings) => model.similarity(images, texts),
};

async function* pictures(next: NextPicture): AsyncGenerator<Picture> {
  for (let picture = await next(); picture; picture = await next()) yield picture;
}

/** How a cosine becomes a logit: scale times cosine plus bias, read off two vectors that are equal and two that are not. */
function readLogit({ dim, config }: Siglip): { scale: number; bias: number } {
  // A tower alone has nothing to be compared with.
  if (config.towers.length === 1) return { scale: Number.NaN, bias: Number.NaN };
  const axis = (at: number): Embeddings => ({ data: new Float32Array(dim).fill(1, at, at + 1), shape: [1, dim] });
  const [equal, bias] = [axis(0), axis(1)].map((other) => model.similarity(axis(0), other).logits[0]);
  return { scale: equal - bias, bias };
}

/** What can be called. */
export type Calls = typeof calls;

expose(calls);
