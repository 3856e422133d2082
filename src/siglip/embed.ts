import { noTower, type PreparedPictures } from "../model/towers.ts";
import { SiglipError } from "../support/error.ts";
import { joinFloats } from "../support/numbers.ts";
import type { Embeddings, Skipped } from "./embeddings.ts";
import type { LoadedModel } from "./loaded.ts";
import { noHead, noList } from "./option-advice.ts";
import { checkOptions } from "./options.ts";
import { checkMaxPatches, prepare, together } from "./pictures.ts";
import { stream, type Way } from "./stream.ts";

/** Options of `embedImages` and `embedTexts`. */
export interface EmbedOptions {
  /** How many go through a tower together; by default what suits the backend: on webgpu 8 images or 32 texts. */
  readonly batch?: number;
  /**
   * What becomes of a call with an item of which nothing can be made, such as a damaged picture: by default "throw" rejects it with
   * that item's error; "skip" leaves it out and names it in `skipped`.
   */
  readonly onError?: "throw" | "skip";
  /** Called after every batch with how many are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Rejects the call with its reason, at the latest after the batch that runs. */
  readonly signal?: AbortSignal;
}

/** Options of `embedImages`. */
export interface EmbedImagesOptions extends EmbedOptions {
  /** Of a NaFlex model: the most patches of a picture, 1 to 4096; by default what the checkpoint says (256). */
  readonly maxPatches?: number;
}

/** Options of `embedStream`. */
export interface StreamOptions extends Pick<EmbedImagesOptions, "batch" | "maxPatches" | "signal"> {
  /** What the items are: pictures by default, or texts. */
  readonly kind?: "image" | "text";
}

/** The names of those options, and of `embedStream`'s. */
const EMBED = ["batch", "onError", "onProgress", "signal"] as const satisfies (keyof EmbedOptions)[];
export const STREAM = ["batch", "kind", "maxPatches", "signal"] as const satisfies (keyof StreamOptions)[];

/** How often a batch is tried whose device is lost under it. */
const TRIES = 3;

/** Gives the model on a device that lives. */
export type Ready<Image> = (signal?: AbortSignal) => Promise<LoadedModel<Image>>;

/** How pictures become embeddings by the model that `ready` gives. */
export async function imageWay<Image>(
  ready: Ready<Image>,
  options: EmbedImagesOptions,
): Promise<Way<Image, PreparedPictures>> {
  const { batch, maxPatches, signal } = options;
  const model = await ready(signal);
  const { config, backend, platform } = model;
  if (!config.vision.head) throw noHead(config);
  checkMaxPatches(config, options);
  return {
    batch: batch ?? backend.defaults.images,
    atOnce: platform.atOnce,
    prepare: (image, signal) => prepare(model, image, { maxPatches, signal }),
    run: async (pictures, signal) => {
      const { towers } = await ready(signal);
      return (await towers.patches(together(pictures), { signal })).data;
    },
  };
}

/** How texts do. */
export async function textWay<Image>(
  ready: Ready<Image>,
  { batch, signal }: EmbedOptions,
): Promise<Way<string, readonly number[]>> {
  const { config, tokenizer, backend } = await ready(signal);
  if (!tokenizer) throw noTower("text", config);
  return {
    batch: batch ?? backend.defaults.texts,
    prepare: async (text, _, index) => Array.from(tokenizer.encode([text], index)),
    run: async (ids, signal) => {
      const { towers } = await ready(signal);
      return (await towers.text(ids.flat(), { signal })).data;
    },
  };
}

/** Collects a stream. */
export async function embedAll<Item, Prepared>(
  items: readonly Item[],
  call: string,
  options: EmbedOptions,
  dim: number,
  way: () => Promise<Way<Item, Prepared>>,
): Promise<Embeddings> {
  if (!Array.isArray(items)) throw noList(call, items);
  checkOptions(call, options, call === "embedImages" ? [...EMBED, "maxPatches"] : EMBED);
  const { onError, onProgress, signal } = options;
  const rows: Float32Array[] = [];
  const skipped: Skipped[] = [];
  let index = 0;
  for await (const { embeddings } of stream(items, await way(), signal)) {
    for (const one of embeddings) {
      if (!(one instanceof SiglipError)) rows.push(one);
      else if (onError === "skip") skipped.push({ index, error: one });
      else throw one;
      index++;
    }
    onProgress?.(index, items.length);
  }
  const found = { data: joinFloats(rows), shape: [rows.length, dim] as const };
  return onError === "skip" ? { ...found, skipped } : found;
}

/** The same way, on which a batch whose device is lost is run again. */
export function persistent<Item, Prepared>(way: Way<Item, Prepared>): Way<Item, Prepared> {
  return {
    ...way,
    async run(prepared, signal) {
      for (let left = TRIES - 1; ; left--) {
        try {
          return await way.run(prepared, signal);
        } catch (error) {
          if (left === 0 || (error as SiglipError).code !== "device-lost") throw error;
        }
      }
    },
  };
}
