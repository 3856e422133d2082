/// <reference lib="esnext.disposable" preserve="true" />
import type { ModelFiles } from "../files/model-files.ts";
import type { FlexiblePictures } from "../image/naflex.ts";
import type { DecodeOptions, PictureOptions, Pixels } from "../image/pixels.ts";
import { levels, preprocessPatches, resizeInSlices } from "../image/preprocess.ts";
import type { SiglipConfig } from "../model/config.ts";
import {
  type ForwardOptions,
  noTower,
  type PreparedPictures,
  type Tower,
  type Towers,
  type Values,
} from "../model/towers.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import type { Backend } from "../tensor/backend.ts";
import type { StoredDType, WeightDType } from "../tensor/program.ts";
import { padded } from "../tensor/shape.ts";
import type { Threads } from "../tensor/wasm/crowd.ts";
import type { SiglipTokenizer } from "../tokenizer/siglip.ts";
import type { Classifier, ClassifierOptions, Ranked } from "./classifier.ts";
import type { Embeddings, Similarity, Skipped } from "./embeddings.ts";
import type { FeatureSource, Features, FeaturesOptions } from "./features.ts";
import type { HeatMap, LocateOptions } from "./locate.ts";
import { checkOptions } from "./options.ts";
import type { OwnLabels } from "./own-labels.ts";
import { type EmbeddedBatch, stream, type Way } from "./stream.ts";

/** What is kept of a model, and who is told of what goes wrong with that. */
export interface KeepOptions {
  readonly dtype: StoredDType;
  readonly towers: readonly Tower[];
  readonly onWarning: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** What differs between runtimes: how a picture becomes pixels, and where WebGPU is. */
export interface Platform<Image> {
  decode(image: Image, options?: DecodeOptions): Promise<Pixels>;
  gpu(): Promise<GPU | undefined>;
  /** Kernel forms chosen by trial on an adapter, kept from session to session. */
  chosenForms(adapter: string): Map<string, string> | Promise<Map<string, string>>;
  /** Files from a network, kept on this machine in the precision of the load; absent where they are kept as they are. */
  keep?(files: ModelFiles, options: KeepOptions): Promise<ModelFiles>;
  /** What there is for threads. */
  threads(): Threads | Promise<Threads>;
  /** What a user can do where `gpu` has no adapter, or is not there; part of an error's sentence. */
  withoutGpu(gpu: GPU | undefined): string;
}

/** A loaded model, from which a Siglip is made. */
export interface LoadedModel<Image> {
  readonly name: string;
  readonly config: SiglipConfig;
  readonly towers: Towers;
  readonly tokenizer: SiglipTokenizer | undefined;
  /** Of an image classifier. */
  readonly own: OwnLabels | undefined;
  readonly platform: Platform<Image>;
  readonly pictures: PictureOptions;
  readonly backend: Backend;
  readonly adapter: string | undefined;
  readonly dtype: WeightDType;
  readonly version: string | undefined;
  /** Loads the same model again, on a new device; for after the present one was lost. */
  reload(): Promise<LoadedModel<Image>>;
  free(): Promise<void>;
}

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
const STREAM = ["batch", "kind", "maxPatches", "signal"] as const satisfies (keyof StreamOptions)[];

/** How often a batch is tried whose device is lost under it. */
const TRIES = 3;

/**
 * A SigLIP model: images and texts to vectors of one space. [Zhai et al. 2023, arXiv 2303.15343]
 *
 * Calls may overlap. After `dispose` every call, and every one that still runs, rejects with a SiglipError. So do running calls when
 * the device is lost (a driver's reset, a page in the background); the next call then brings the model onto a new device, and where
 * that fails the one after it tries again.
 */
export class Siglip<Image = unknown> {
  /** The model's configuration. */
  readonly config: SiglipConfig;
  /** Width of the embeddings. */
  readonly dim: number;
  /** Where it runs and how: backend, its adapter, and the precision of the weights. */
  readonly device: {
    /** By its name: "webgpu", "wasm" or "cpu". */
    readonly backend: string;
    /** The adapter, or threads and instructions, in words; undefined for the reference. */
    readonly adapter: string | undefined;
    /** As the linear maps' weights are stored. */
    readonly dtype: WeightDType;
    /** How many pictures and texts suit it at a time. */
    readonly batch: {
      /** Pictures at a time. */
      readonly images: number;
      /** Texts at a time. */
      readonly texts: number;
    };
  };
  /** What tells its weights from others of the same name: a commit, or what their server says of them; undefined where nothing does. */
  readonly version: string | undefined;
  /** Dropped by `dispose`, so that the weights can be collected while somebody still holds the model. */
  private kept: LoadedModel<Image> | undefined;
  /** While the model is brought onto a new device. */
  private revival: Promise<LoadedModel<Image>> | undefined;

  protected constructor(parts: LoadedModel<Image>) {
    if (!parts?.backend) {
      throw mismatch("bad-input", "new Siglip", "a loaded model", "none", "call await Siglip.load(model)");
    }
    this.kept = parts;
    this.config = parts.config;
    const { towers, vision, text } = parts.config;
    this.dim = towers.includes("image") ? vision.hidden : text.projection;
    const { images, texts } = parts.backend.defaults;
    const batch = { images, texts };
    this.device = { backend: parts.backend.name, adapter: parts.adapter, dtype: parts.dtype, batch };
    this.version = parts.version;
  }

  /** Bytes that the backend holds at present. */
  get bytes(): number {
    return this.kept?.backend.bytes ?? 0;
  }

  /** L2-normalised embeddings of pictures. Pictures are decoded a batch at a time; an empty list gives shape [0, dim]. */
  async embedImages(images: readonly Image[], options: EmbedImagesOptions = {}): Promise<Embeddings> {
    return this.embed(images, "embedImages", options, () => this.imageWay(options));
  }

  /** L2-normalised embeddings of texts, which are canonicalised, tokenised, truncated and padded as the model wants. */
  async embedTexts(texts: readonly string[], options: EmbedOptions = {}): Promise<Embeddings> {
    return this.embed(texts, "embedTexts", options, () => this.textWay(options));
  }

  /**
   * Embeddings of any number of pictures or texts, batch by batch in their order. An item of which nothing can be made (a damaged
   * picture, a file that is gone) comes as its error and costs the others nothing; a batch whose device is lost is run again on a new
   * one; anything else rejects. Whoever reads slowly is waited for.
   */
  embedStream<Item extends Image>(
    items: Iterable<Item> | AsyncIterable<Item>,
    options?: StreamOptions & { readonly kind?: "image" },
  ): AsyncGenerator<EmbeddedBatch<Item>, void, undefined>;
  embedStream(
    items: Iterable<string> | AsyncIterable<string>,
    options: StreamOptions & { readonly kind: "text" },
  ): AsyncGenerator<EmbeddedBatch<string>, void, undefined>;
  async *embedStream(
    items: Iterable<never> | AsyncIterable<never>,
    options: StreamOptions = {},
  ): AsyncGenerator<EmbeddedBatch<never>, void, undefined> {
    await checkOptions("embedStream", options, STREAM);
    const { kind = "image" } = options;
    // A string would be taken apart.
    if (typeof items !== "object" || (kind !== "image" && kind !== "text")) {
      throw (await import("./option-advice.ts")).noStream(items, kind);
    }
    const made = await (kind === "text" ? this.textWay(options) : this.imageWay(options));
    const way = made as Way<never, never>;
    const run: typeof way.run = async (prepared, signal) => {
      for (let left = TRIES - 1; ; left--) {
        try {
          return await way.run(prepared, signal);
        } catch (error) {
          if (left === 0 || (error as SiglipError).code !== "device-lost") throw error;
        }
      }
    };
    yield* stream(items, { ...way, run }, options.signal);
  }

  /** Scores of embedded images against embedded texts. */
  similarity(images: Embeddings, texts: Embeddings): Similarity {
    for (const { data, shape } of [images ?? {}, texts ?? {}]) {
      if (!Number.isInteger(shape?.[0]) || shape[1] !== this.dim || data?.length !== shape[0] * this.dim) {
        const found = `${data?.length} values as [${shape}]`;
        throw mismatch("bad-input", "similarity", `embeddings of [n, ${this.dim}]`, found, "embed with this model");
      }
    }
    const { scale, bias } = this.parts.towers;
    if (Number.isNaN(scale)) {
      const wanted = "a checkpoint with logit_scale and logit_bias";
      throw mismatch("unsupported", "similarity", wanted, "a tower alone", "compare the embeddings' dot products");
    }
    const [rows, columns] = [images.shape[0], texts.shape[0]];
    const logits = new Float32Array(rows * columns);
    for (let i = 0; i < logits.length; i++) {
      const image = Math.floor(i / columns) * this.dim;
      const text = (i % columns) * this.dim;
      let cosine = 0;
      for (let d = 0; d < this.dim; d++) cosine += images.data[image + d] * texts.data[text + d];
      logits[i] = cosine * scale + bias;
    }
    return { logits, probabilities: logits.map((logit) => 1 / (1 + Math.exp(-logit))), shape: [rows, columns] };
  }

  /**
   * The labels in order of their probability for one picture. Each is judged by itself: they need not sum to one.
   * Without labels, those that the checkpoint was trained for, if it is an image classifier's; they exclude each other
   * unless it says otherwise.
   */
  async classify(
    image: Image,
    labels?: string | readonly string[],
    options: ClassifierOptions = {},
  ): Promise<Ranked[]> {
    const model = await this.ready(options?.signal);
    if (labels !== undefined || !model.own) {
      return (await this.classifier(labels ?? [], options)).classify(image, options);
    }
    await checkOptions("classify", options, ["templates", "signal"]);
    return model.own.rank((await model.towers.patches(await prepare(model, image, options), options)).data);
  }

  /** Embeds labels once, to classify many pictures. By default every label is put into "This is a photo of {label}." */
  async classifier(labels: string | readonly string[], options: ClassifierOptions = {}): Promise<Classifier<Image>> {
    return (await import("./classifier.ts")).Classifier.make(this, labels, options);
  }

  /** What pictures' patches have become after a layer, as a grid: [n, rows, columns, hidden]. */
  async features(images: readonly Image[], options: FeaturesOptions = {}): Promise<Features> {
    return (await import("./features.ts")).features(await this.source(options), images, options);
  }

  /** What the MAP head attends to: weights [n, heads, rows, columns], which add up to 1 for a picture and head. */
  async poolAttention(images: readonly Image[], options: Omit<FeaturesOptions, "layer"> = {}): Promise<Features> {
    return (await import("./features.ts")).poolAttention(await this.source(options), images, options);
  }

  /** Where in a picture labels are: a heat map for each, in the order of the labels. */
  async locate(image: Image, labels: string | readonly string[], options: LocateOptions = {}): Promise<HeatMap[]> {
    return (await import("./locate.ts")).locate(await this.source(options), this, image, labels, options);
  }

  /**
   * Pixel values [n, 3, height, width] to pooled images [n, dim] before normalisation, with named intermediates on
   * request. Of a NaFlex model what Hugging Face's processor gives: `{ patches, grids }`. They must not change
   * meanwhile.
   */
  async imageTower(pictures: Float32Array | FlexiblePictures, options: ForwardOptions = {}): Promise<Values> {
    return (await this.ready(options.signal)).towers.image(pictures, options);
  }

  /** Token ids [n, positions] to pooled texts [n, dim] before normalisation, with named intermediates on request. */
  async textTower(ids: ArrayLike<number>, options: ForwardOptions = {}): Promise<Values> {
    return (await this.ready(options.signal)).towers.text(ids, options);
  }

  /** Frees the device's memory and closes the model's files. Calling it again does nothing. */
  dispose(): void {
    this.kept?.free().catch(() => {});
    this.kept = undefined;
  }

  /** As `dispose`, for `using model = await Siglip.load(…)`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What is asked of a model for features. */
  private async source(options: FeaturesOptions): Promise<FeatureSource<Image>> {
    const model = await this.ready(options?.signal);
    return { ...model, checkOptions, checkMaxPatches, together, prepare: (image) => prepare(model, image, options) };
  }

  /** The model on a device that lives: the present one, or after its loss a new one. */
  private async ready(signal?: AbortSignal): Promise<LoadedModel<Image>> {
    const parts = this.parts;
    if (!parts.backend.lost) return parts;
    this.revival ??= this.revive(parts).finally(() => {
      this.revival = undefined;
    });
    return unlessAborted(this.revival, signal);
  }

  private async revive(dead: LoadedModel<Image>): Promise<LoadedModel<Image>> {
    await dead.free();
    const parts = await dead.reload();
    if (!this.kept) {
      await parts.free();
      return this.parts; // throws: it was disposed meanwhile
    }
    this.kept = parts;
    return parts;
  }

  private async imageWay(options: EmbedImagesOptions): Promise<Way<Image, PreparedPictures>> {
    const { batch, maxPatches, signal } = options;
    const model = await this.ready(signal);
    const { config, backend } = model;
    if (!config.vision.head) throw (await import("./option-advice.ts")).noHead(config);
    await checkMaxPatches(config, options);
    return {
      batch: batch ?? backend.defaults.images,
      prepare: (image, signal) => prepare(model, image, { maxPatches, signal }),
      run: async (pictures, signal) => {
        const { towers } = await this.ready(signal);
        return (await towers.patches(await together(pictures), { signal })).data;
      },
    };
  }

  private async textWay({ batch, signal }: EmbedOptions): Promise<Way<string, readonly number[]>> {
    const { config, tokenizer, backend } = await this.ready(signal);
    if (!tokenizer) throw noTower("text", config);
    return {
      batch: batch ?? backend.defaults.texts,
      prepare: async (text, _, index) => Array.from(tokenizer.encode([text], index)),
      run: async (ids, signal) => {
        const { towers } = await this.ready(signal);
        return (await towers.text(ids.flat(), { signal })).data;
      },
    };
  }

  /** Collects a stream. */
  private async embed<Item, Prepared>(
    items: readonly Item[],
    call: string,
    options: EmbedOptions,
    way: () => Promise<Way<Item, Prepared>>,
  ): Promise<Embeddings> {
    if (!Array.isArray(items)) throw (await import("./option-advice.ts")).noList(call, items);
    await checkOptions(call, options, call === "embedImages" ? [...EMBED, "maxPatches"] : EMBED);
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
    const found = { data: joined(rows), shape: [rows.length, this.dim] as const };
    return onError === "skip" ? { ...found, skipped } : found;
  }

  private get parts(): LoadedModel<Image> {
    if (!this.kept) throw mismatch("disposed", "The model", "one in use", "that it has been disposed", "load it again");
    return this.kept;
  }
}

/** A picture as the image tower takes it. */
async function prepare<Image>(
  { config, pictures, platform }: LoadedModel<Image>,
  image: Image,
  { maxPatches, signal }: EmbedImagesOptions,
): Promise<PreparedPictures> {
  const { naflex, tokens, patchSize, channels } = config.vision;
  const stride = padded(channels * patchSize ** 2);
  const pixels = await platform.decode(image, { ...pictures, signal });
  if (naflex) {
    const { flexiblePatches } = await import("../image/naflex.ts");
    return flexiblePatches(pixels, config.image, { patch: patchSize, maxPatches, stride }, { resizeInSlices, levels });
  }
  const patches = new Float32Array(tokens * stride);
  await preprocessPatches(pixels, config.image, patchSize, patches, 0, stride);
  return { patches };
}

async function checkMaxPatches({ image }: SiglipConfig, { maxPatches }: EmbedImagesOptions): Promise<void> {
  if (maxPatches !== undefined) (await import("../image/naflex.ts")).checkMaxPatches(image, maxPatches);
}

/** Pictures in one batch, padded to the one that has most patches. */
async function together(pictures: readonly PreparedPictures[]): Promise<PreparedPictures> {
  if (pictures[0].grids) return (await import("../image/naflex.ts")).joinFlexible(pictures as FlexiblePictures[]);
  return { patches: joined(pictures.map(({ patches }) => patches)) };
}

/** Settles as the promise does, or with the signal's reason if that comes first. */
function unlessAborted<R>(promise: Promise<R>, signal?: AbortSignal): Promise<R> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const data = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let filled = 0;
  for (const part of parts) {
    data.set(part, filled);
    filled += part.length;
  }
  return data;
}
