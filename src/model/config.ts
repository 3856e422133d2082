import type { ImageProcessing } from "../image/preprocess.ts";
import { mismatch } from "../support/error.ts";
import type { Dialect } from "../tokenizer/siglip.ts";
import { Section } from "./section.ts";
import type { Tower } from "./towers.ts";

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
  /** Whether pictures keep their aspect ratio and any number of patches is taken: SigLIP 2's NaFlex. */
  readonly naflex: boolean;
  /** Side of the square input, in pixels; of NaFlex the one that the learned positions stand for. */
  readonly imageSize: number;
  /** Side of a patch, in pixels. */
  readonly patchSize: number;
  /** Always 3: red, green, blue. */
  readonly channels: number;
  /**
   * `floor(imageSize / patchSize)²`: the rows and columns of pixels left over are dropped. Of another `grid` as many as
   * that has.
   */
  readonly tokens: number;
  /** Whether the tower ends in the MAP head, without which there are tokens but no embedding. */
  readonly head: boolean;
  /**
   * Patches one under the other and side by side, where pictures of another size than the checkpoint's were asked for.
   */
  readonly grid?: readonly [rows: number, columns: number];
}

/** The text tower. Its pooled output has `projection` features, as many as the image tower's. */
export interface TextConfig extends TowerConfig {
  /** Rows of the token table. */
  readonly vocabulary: number;
  /** The length every text is padded to. */
  readonly positions: number;
  /** Features of a text's embedding. */
  readonly projection: number;
  /** How texts are canonicalised, where a model of another layout says so: not by `hf`. */
  readonly dialect?: Dialect;
}

/** The labels of an image classifier. */
export interface ClassesConfig {
  /** In the order of the logits. */
  readonly labels: readonly string[];
  /** Whether each label is judged by itself, by a sigmoid; else one of them applies, by a softmax. */
  readonly independent: boolean;
}

/** All that a model's `config.json` and its image processor's say and that inference needs. */
export interface SiglipConfig {
  /** What the checkpoint has. Of the other tower, the section below holds nothing but defaults. */
  readonly towers: readonly Tower[];
  /** The image tower. */
  readonly vision: VisionConfig;
  /** The text tower. */
  readonly text: TextConfig;
  /** Of an image classifier (`SiglipForImageClassification`). */
  readonly classes?: ClassesConfig;
  /** How pictures become the image tower's input. */
  readonly image: ImageProcessing;
}

/**
 * Checks a parsed `config.json` and, where there is one, what a parsed `preprocessor_config.json` says of pictures. A
 * model's has a section for each tower; that of a tower alone is flat. Keys left out have the defaults of Hugging
 * Face's `SiglipTextConfig`, `SiglipVisionConfig` and `SiglipImageProcessor` (the picture's size: that of the vision
 * tower); keys that inference does not need are ignored, bos and eos ids among them. Throws a SiglipError that names
 * the key for a wrong type, a value out of range, a contradiction, and for what is not supported: other architectures,
 * other activations, other preprocessing than resize, rescale and normalise.
 */
export function parseConfig(config: unknown, preprocessor?: unknown): SiglipConfig {
  const root = new Section("config.json", config);
  const { naflex, towers } = parseModelType(root);
  const section = (tower: Tower, key: string) => {
    if (towers.length > 1) return root.section(key);
    return towers[0] === tower ? root : new Section(key, {});
  };
  const vision = parseVision(section("image", "vision_config"), naflex);
  const textSection = section("text", "text_config");
  const text = parseText(textSection);
  if (towers.length > 1 && text.projection !== vision.hidden) {
    textSection.fail(
      "projection_size",
      `the vision tower's width ${vision.hidden}, for both embeddings share one space`,
      text.projection,
    );
  }
  const processor = towers.includes("image") ? (preprocessor ?? {}) : {};
  const image = parseImage(new Section("preprocessor_config.json", processor), vision);
  return { towers, vision, text, image };
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

function parseModelType(root: Section): { naflex: boolean; towers: readonly Tower[] } {
  const type = root.get("model_type");
  // Absent from hand-written files that have sections all the same.
  const sections = type === undefined && (root.get("vision_config") ?? root.get("text_config")) !== undefined;
  const [, two, tower] = (typeof type === "string" && /^siglip(2?)(?:_(vision|text)_model)?$/.exec(type)) || [];
  if (two === undefined && !sections) root.fail("model_type", '"siglip" or "siglip2"', type);
  return { naflex: two === "2", towers: tower ? [tower === "text" ? "text" : "image"] : ["image", "text"] };
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

function parseVision(vision: Section, naflex: boolean): VisionConfig {
  const channels = vision.count("num_channels", 3, 65536);
  if (channels !== 3) vision.fail("num_channels", "3", channels);
  const common = { ...parseTower(vision), naflex, channels, head: vision.flag("vision_use_head", true) };
  if (naflex) {
    const patchSize = vision.count("patch_size", 16, 4096);
    const tokens = vision.count("num_patches", 256, 65536);
    const side = Math.sqrt(tokens);
    if (!Number.isInteger(side)) vision.fail("num_patches", "a square", tokens);
    return { ...common, imageSize: side * patchSize, patchSize, tokens };
  }
  const imageSize = vision.count("image_size", 224, 4096);
  const patchSize = vision.count("patch_size", 16, imageSize);
  const side = Math.floor(imageSize / patchSize);
  if (side > 256) vision.fail("patch_size", `at least a 256th of image_size ${imageSize}`, patchSize);
  return { ...common, imageSize, patchSize, tokens: side * side };
}

function parseText(text: Section): TextConfig {
  const tower = parseTower(text);
  return {
    ...tower,
    vocabulary: text.count("vocab_size", 32000, 2 ** 20),
    positions: text.count("max_position_embeddings", 64, 4096),
    projection: text.count("projection_size", tower.hidden, 16384),
    dialect: text.get("text_dialect") as Dialect | undefined,
  };
}

function parseImage(processor: Section, { imageSize, naflex }: VisionConfig): ImageProcessing {
  const known = `Siglip${naflex ? "2" : ""}ImageProcessor`;
  const type = processor.get("image_processor_type", known);
  if (typeof type !== "string" || type.replace(/(Fast|Pil)$/, "") !== known) {
    processor.fail("image_processor_type", `"${known}"`, type);
  }
  if (!processor.flag("do_resize", true)) processor.fail("do_resize", "true, as the model takes one size only", false);
  if (processor.get("do_center_crop"))
    processor.fail("do_center_crop", "false, as SigLIP squashes and never crops", true);
  const rescale = processor.fraction("rescale_factor", 1 / 255);
  const mean = processor.triple("image_mean", 0.5, -1000, 1000);
  const std = processor.triple("image_std", 0.5, 0.001, 1000);
  const normalise = processor.flag("do_normalize", true);
  return {
    size: naflex ? [imageSize, imageSize] : parseSize(processor, imageSize),
    ...(naflex && { maxPatches: processor.count("max_num_patches", 256, 4096) }),
    resample: parseResample(processor, naflex ? 2 : 3),
    rescale: processor.flag("do_rescale", true) ? rescale : 1,
    mean: normalise ? mean : [0, 0, 0],
    std: normalise ? std : [1, 1, 1],
  };
}

function parseSize(processor: Section, imageSize: number): [number, number] {
  const wanted = `${imageSize}, the image_size of config.json`;
  const size = processor.get("size") ?? imageSize;
  if (typeof size === "object") {
    const sides = processor.section("size");
    for (const side of ["height", "width"]) {
      if (sides.get(side) !== imageSize) sides.fail(side, wanted, sides.get(side));
    }
  } else if (size !== imageSize) processor.fail("size", wanted, size);
  return [imageSize, imageSize];
}

function parseResample(processor: Section, otherwise: 2 | 3): "bilinear" | "bicubic" {
  const names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];
  const resample = processor.get("resample", otherwise);
  if (resample === 2) return "bilinear";
  if (resample === 3) return "bicubic";
  const name = typeof resample === "number" ? (names[resample] ?? "no filter of PIL's") : "no number";
  return processor.fail("resample", "2 (bilinear) or 3 (bicubic)", resample, ` (${name})`);
}
