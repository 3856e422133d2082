/// <reference lib="esnext.disposable" preserve="true" />
import type { FlexiblePictures } from "../image/naflex.ts";
import type { SiglipConfig } from "../model/config.ts";
import type { ForwardOptions, Values } from "../model/towers.ts";
import { unlessAborted } from "../support/abort.ts";
import { mismatch } from "../support/error.ts";
import type { WeightDType } from "../tensor/program.ts";
import type { Calibration } from "./calibration.ts";
import { Classifier, type ClassifierOptions, type Ranked } from "./classifier.ts";
import {
  type EmbedImagesOptions,
  type EmbedOptions,
  embedAll,
  imageWay,
  persistent,
  type Ready,
  STREAM,
  type StreamOptions,
  textWay,
} from "./embed.ts";
import type { Embeddings, Similarity } from "./embeddings.ts";
import type { Features, FeaturesOptions } from "./features.ts";
import type { LoadedModel } from "./loaded.ts";
import type { HeatMap, LocateOptions } from "./locate.ts";
import { noStream } from "./option-advice.ts";
import { checkOptions } from "./options.ts";
import { prepare } from "./pictures.ts";
import { type EmbeddedBatch, stream, type Way } from "./stream.ts";

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

  /** How `similarity` makes logits of cosines: the checkpoint's own scale and bias, or those given to `load`. NaN of a tower alone. */
  get calibration(): Calibration {
    const { scale, bias } = this.parts.towers;
    return { logitScale: Math.log(scale), logitBias: bias };
  }

  /** L2-normalised embeddings of pictures. Pictures are decoded a batch at a time; an empty list gives shape [0, dim]. */
  async embedImages(images: readonly Image[], options: EmbedImagesOptions = {}): Promise<Embeddings> {
    return embedAll(images, "embedImages", options, this.dim, () => imageWay(this.ready, options));
  }

  /** L2-normalised embeddings of texts, which are canonicalised, tokenised, truncated and padded as the model wants. */
  async embedTexts(texts: readonly string[], options: EmbedOptions = {}): Promise<Embeddings> {
    return embedAll(texts, "embedTexts", options, this.dim, () => textWay(this.ready, options));
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
    checkOptions("embedStream", options, STREAM);
    const { kind = "image" } = options;
    // A string would be taken apart.
    if (typeof items !== "object" || (kind !== "image" && kind !== "text")) {
      throw noStream(items, kind);
    }
    const way = await (kind === "text" ? textWay(this.ready, options) : imageWay(this.ready, options));
    yield* stream(items, persistent(way as Way<never, never>), options.signal);
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
    checkOptions("classify", options, ["templates", "signal"]);
    return model.own.rank((await model.towers.patches(await prepare(model, image, options), options)).data);
  }

  /** Embeds labels once, to classify many pictures. By default every label is put into "This is a photo of {label}." */
  async classifier(labels: string | readonly string[], options: ClassifierOptions = {}): Promise<Classifier<Image>> {
    return Classifier.make(this, labels, options);
  }

  /** What pictures' patches have become after a layer, as a grid: [n, rows, columns, hidden]. */
  async features(images: readonly Image[], options: FeaturesOptions = {}): Promise<Features> {
    return (await import("./features.ts")).features(await this.ready(options?.signal), images, options);
  }

  /** What the MAP head attends to: weights [n, heads, rows, columns], which add up to 1 for a picture and head. */
  async poolAttention(images: readonly Image[], options: Omit<FeaturesOptions, "layer"> = {}): Promise<Features> {
    return (await import("./features.ts")).poolAttention(await this.ready(options?.signal), images, options);
  }

  /** Where in a picture labels are: a heat map for each, in the order of the labels. */
  async locate(image: Image, labels: string | readonly string[], options: LocateOptions = {}): Promise<HeatMap[]> {
    return (await import("./locate.ts")).locate(await this.ready(options?.signal), this, image, labels, options);
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

  /** The model on a device that lives: the present one, or after its loss a new one. */
  private readonly ready: Ready<Image> = async (signal) => {
    const parts = this.parts;
    if (!parts.backend.lost) return parts;
    this.revival ??= this.revive(parts).finally(() => {
      this.revival = undefined;
    });
    return unlessAborted(this.revival, signal);
  };

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

  private get parts(): LoadedModel<Image> {
    if (!this.kept) throw mismatch("disposed", "The model", "one in use", "that it has been disposed", "load it again");
    return this.kept;
  }
}
