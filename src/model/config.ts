import type { ImageProcessing } from "../image/preprocess.ts";
import { mismatch } from "../support/error.ts";

/** One transformer encoder: pre-LN blocks of `hidden` features, an MLP of `mlp`, GELU in its tanh form. */
export interface TowerConfig {
  /** Features of a token. */
  readonly hidden: number;
  /** Features between the two linear maps of an MLP. */
  readonly mlp: number;
  /** Blocks, one after the other. */
  readonly layers: number;
  /** Divides `hidden`. */
  readonly heads: number;
  /** Added to the variance inside every layer norm's square root. */
  readonly eps: number;
}

/** The image tower. Its pooled output has `hidden` features. */
export interface VisionConfig extends TowerConfig {
  /** Side of the square input, in pixels. */
  readonly imageSize: number;
  /** Side of a patch, in pixels. */
  readonly patchSize: number;
  /** Always 3: red, green, blue. */
  readonly channels: number;
  /** `floor(imageSize / patchSize)²`: the rows and columns of pixels left over are dropped. */
  readonly tokens: number;
}

/** The text tower. Its pooled output has `projection` features, as many as the image tower's. */
export interface TextConfig extends TowerConfig {
  /** Rows of the token table. */
  readonly vocabulary: number;
  /** The length every text is padded to. */
  readonly positions: number;
  /** Features of a text's embedding. */
  readonly projection: number;
}

/** All that a model's `config.json` and `preprocessor_config.json` say and that inference needs. */
export interface SiglipConfig {
  /** The image tower. */
  readonly vision: VisionConfig;
  /** The text tower. */
  readonly text: TextConfig;
  /** How pictures become the image tower's input. */
  readonly image: ImageProcessing;
}

/**
 * Checks a parsed `config.json` and, where there is one, a parsed `preprocessor_config.json`. Keys left out have the
 * defaults of Hugging Face's `SiglipTextConfig`, `SiglipVisionConfig` and `SiglipImageProcessor` (the picture's size: that
 * of the vision tower); keys that inference does not need are ignored, bos and eos ids among them. Throws a SiglipError that
 * names the key for a wrong type, a value out of range, a contradiction, and for what is not supported: NaFlex, other
 * architectures, other activations, other preprocessing than resize, rescale and normalise.
 */
export function parseConfig(config: unknown, preprocessor?: unknown): SiglipConfig {
  const root = new Section("config.json", config);
  checkModelType(root);
  const vision = parseVision(root.section("vision_config"));
  const textSection = root.section("text_config");
  const text = parseText(textSection);
  if (text.projection !== vision.hidden) {
    textSection.fail(
      "projection_size",
      `the vision tower's width ${vision.hidden}, for both embeddings share one space`,
      text.projection,
    );
  }
  return { vision, text, image: parseImage(new Section("preprocessor_config.json", preprocessor ?? {}), vision) };
}

/**
 * UTF-8 JSON from a file's bytes. Throws a SiglipError that begins with `name` for more than `limit` bytes (1 MiB by
 * default), invalid UTF-8 and invalid JSON.
 */
export function parseJson(bytes: Uint8Array, name: string, limit = 2 ** 20): unknown {
  if (bytes.length > limit) {
    throw mismatch("bad-input", name, `at most ${limit} bytes of JSON`, `${bytes.length}`, "name the right file");
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw mismatch("bad-checkpoint", name, "JSON", "bytes that are not UTF-8", "fetch the file again", cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = String((cause as Error).message).replace(/\s+/g, " ");
    throw mismatch("bad-checkpoint", name, "JSON", `text that is none (${reason})`, "fetch the file again", cause);
  }
}

function checkModelType(root: Section): void {
  const type = root.get("model_type");
  if (type === "siglip2") {
    root.fail("model_type", '"siglip", for NaFlex checkpoints are not supported', type);
  }
  const bare = type === undefined && (root.get("vision_config") ?? root.get("text_config")) !== undefined;
  if (type !== "siglip" && !bare) root.fail("model_type", '"siglip"', type);
}

function parseTower(tower: Section): TowerConfig {
  const activation = tower.get("hidden_act", "gelu_pytorch_tanh");
  if (activation !== "gelu_pytorch_tanh") tower.fail("hidden_act", '"gelu_pytorch_tanh"', activation);
  const hidden = tower.count("hidden_size", 768, 16384);
  const heads = tower.count("num_attention_heads", 12, hidden);
  if (hidden % heads !== 0) tower.fail("num_attention_heads", `a divisor of hidden_size ${hidden}`, heads);
  return {
    hidden,
    mlp: tower.count("intermediate_size", 3072, 65536),
    layers: tower.count("num_hidden_layers", 12, 256),
    heads,
    eps: tower.fraction("layer_norm_eps", 1e-6),
  };
}

function parseVision(vision: Section): VisionConfig {
  const imageSize = vision.count("image_size", 224, 4096);
  const patchSize = vision.count("patch_size", 16, imageSize);
  const side = Math.floor(imageSize / patchSize);
  if (side > 256) vision.fail("patch_size", `at least a 256th of image_size ${imageSize}`, patchSize);
  if (vision.flag("vision_use_head", true) === false) vision.fail("vision_use_head", "true", false);
  const channels = vision.count("num_channels", 3, 65536);
  if (channels !== 3) vision.fail("num_channels", "3", channels);
  return { ...parseTower(vision), imageSize, patchSize, channels, tokens: side * side };
}

function parseText(text: Section): TextConfig {
  const tower = parseTower(text);
  return {
    ...tower,
    vocabulary: text.count("vocab_size", 32000, 2 ** 20),
    positions: text.count("max_position_embeddings", 64, 4096),
    projection: text.count("projection_size", tower.hidden, 16384),
  };
}

function parseImage(processor: Section, { imageSize }: VisionConfig): ImageProcessing {
  const type = processor.get("image_processor_type", "SiglipImageProcessor");
  if (typeof type !== "string" || !/^SiglipImageProcessor(Fast|Pil)?$/.test(type)) {
    processor.fail("image_processor_type", '"SiglipImageProcessor"', type);
  }
  if (!processor.flag("do_resize", true)) processor.fail("do_resize", "true, as the model takes one size only", false);
  if (processor.get("do_center_crop"))
    processor.fail("do_center_crop", "false, as SigLIP squashes and never crops", true);
  const rescale = processor.fraction("rescale_factor", 1 / 255);
  const mean = processor.triple("image_mean", 0.5, -1000, 1000);
  const std = processor.triple("image_std", 0.5, 0.001, 1000);
  const normalise = processor.flag("do_normalize", true);
  return {
    size: parseSize(processor, imageSize),
    resample: parseResample(processor),
    rescale: processor.flag("do_rescale", true) ? rescale : 1,
    mean: normalise ? mean : [0, 0, 0],
    std: normalise ? std : [1, 1, 1],
  };
}

function parseSize(processor: Section, imageSize: number): number {
  const size = processor.get("size") ?? imageSize;
  const wanted = `${imageSize}, the image_size of config.json`;
  if (typeof size !== "object") return size === imageSize ? imageSize : processor.fail("size", wanted, size);
  const sides = processor.section("size");
  for (const side of ["height", "width"]) {
    if (sides.get(side) !== imageSize) sides.fail(side, wanted, sides.get(side));
  }
  return imageSize;
}

function parseResample(processor: Section): "bilinear" | "bicubic" {
  const names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];
  const resample = processor.get("resample", 3);
  if (resample === 2) return "bilinear";
  if (resample === 3) return "bicubic";
  const name = typeof resample === "number" ? (names[resample] ?? "no filter of PIL's") : "no number";
  return processor.fail("resample", "2 (bilinear) or 3 (bicubic)", resample, ` (${name})`);
}

/** One JSON object and its place, for errors. Keys are read as own properties only. */
class Section {
  private readonly path: string;
  private readonly values: object;

  constructor(path: string, values: unknown) {
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw mismatch("bad-checkpoint", path, "an object", show(values), "fetch the file again");
    }
    this.path = path;
    this.values = values;
  }

  fail(key: string, wanted: string, found: unknown, aside = ""): never {
    const advice = "use a checkpoint that this package supports";
    throw mismatch("unsupported", this.path, `${key} to be ${wanted}`, `${show(found)}${aside}`, advice);
  }

  get(key: string, otherwise?: unknown): unknown {
    return Object.hasOwn(this.values, key) ? (this.values as Record<string, unknown>)[key] : otherwise;
  }

  /** The object under a key; an empty one where it is left out or null, as Hugging Face takes both. */
  section(key: string): Section {
    return new Section(`${this.path}: ${key}`, this.get(key) ?? {});
  }

  /** A whole number from 1 to `most`. */
  count(key: string, otherwise: number, most: number): number {
    const value = this.get(key, otherwise);
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most) return value;
    return this.fail(key, `a whole number from 1 to ${most}`, value);
  }

  /** A number from 1e-12 to 1: neither may vanish in float32. */
  fraction(key: string, otherwise: number): number {
    const value = this.get(key, otherwise);
    if (typeof value === "number" && value >= 1e-12 && value <= 1) return value;
    return this.fail(key, "a number from 1e-12 to 1", value);
  }

  flag(key: string, otherwise: boolean): boolean {
    const value = this.get(key, otherwise);
    return typeof value === "boolean" ? value : this.fail(key, "true or false", value);
  }

  /** Three numbers within bounds, one for each colour. */
  triple(key: string, otherwise: number, least: number, most: number): [number, number, number] {
    const value = this.get(key) ?? [otherwise, otherwise, otherwise];
    const within = (v: unknown) => typeof v === "number" && v >= least && v <= most;
    if (Array.isArray(value) && value.length === 3 && value.every(within)) return [value[0], value[1], value[2]];
    return this.fail(key, `three numbers from ${least} to ${most}`, value);
  }
}

/** A foreign value, short enough for a sentence. */
function show(value: unknown): string {
  if (value === undefined) return "none";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  const text = String(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
