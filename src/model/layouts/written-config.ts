import { mismatch } from "../../support/error.ts";
import type { Dialect } from "../../tokenizer/siglip.ts";
import { show } from "../section.ts";

/** What a model of another layout would have for `config.json` and `preprocessor_config.json`. */
export interface WrittenConfig {
  readonly config: object;
  readonly preprocessor: object;
}

/** What shapes say of a tower. */
export interface TowerSizes {
  readonly hidden: number;
  readonly mlp: number;
  readonly layers: number;
  readonly heads: number;
  readonly eps: number;
}

/** Both towers as shapes and a layout's own files describe them. */
export interface ModelSizes {
  readonly vision: TowerSizes & {
    readonly imageSize: number;
    readonly patchSize: number;
    /** Learned positions of a NaFlex tower, which takes pictures of any shape. */
    readonly numPatches?: number;
  };
  readonly text: TowerSizes & {
    readonly vocabulary: number;
    readonly positions: number;
    readonly projection: number;
    /** How texts are canonicalised where it is not Hugging Face's way. */
    readonly dialect?: Dialect;
  };
  readonly mean: unknown;
  readonly std: unknown;
  readonly resample: "bicubic" | "bilinear";
}

/** Heads by width in the published family: where a layout does not say how many there are. */
const HEADS: Readonly<Record<number, number>> = { 384: 6, 768: 12, 1024: 16, 1152: 16, 1536: 16 };

/** The heads of a tower of the published family. Throws a SiglipError for a width that none of it has. */
export function familyHeads(hidden: number, subject: string): number {
  const heads = HEADS[hidden];
  if (heads !== undefined) return heads;
  const wanted = `a width of ${Object.keys(HEADS).join(", ")}, whose heads are known`;
  throw mismatch("unsupported", subject, wanted, `${hidden}`, "write the model as Hugging Face lays it out");
}

/**
 * The side of the picture: the one that is said, where its patches are the tower's; else the largest number of
 * `hints` (a model's or a file's name) that is cut into as many, else as many patches as there are. "378" is 384
 * without what a patch of 14 leaves over.
 */
export function imageSizeOf(tokens: number, patch: number, said: unknown, hints: string, subject: string): number {
  const side = Math.round(Math.sqrt(tokens));
  if (side * side !== tokens) {
    const advice = "use a checkpoint with a square of positions";
    throw mismatch("unsupported", subject, "a square number of position embeddings", `${tokens}`, advice);
  }
  const fits = (size: unknown) => typeof size === "number" && Math.floor(size / patch) === side;
  if (fits(said)) return said as number;
  if (said !== undefined) {
    const advice = "the two do not belong together";
    throw mismatch("unsupported", subject, `an image_size of ${side} patches of ${patch}`, show(said), advice);
  }
  const named = (hints.match(/\d+/g) ?? []).map(Number).filter(fits);
  return named.reduce((a, b) => Math.max(a, b), side * patch);
}

/** As Hugging Face would write it. */
export function writeConfig({ vision, text, mean, std, resample }: ModelSizes): WrittenConfig {
  const tower = ({ hidden, mlp, layers, heads, eps }: TowerSizes) => ({
    hidden_size: hidden,
    intermediate_size: mlp,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    layer_norm_eps: eps,
    hidden_act: "gelu_pytorch_tanh",
  });
  const { imageSize, patchSize, numPatches } = vision;
  // NaFlex is what Hugging Face has as SigLIP 2; other checkpoints of SigLIP 2 are SigLIP's classes.
  const two = numPatches === undefined ? "" : "2";
  return {
    config: {
      architectures: [`Siglip${two}Model`],
      model_type: `siglip${two}`,
      text_config: {
        model_type: `siglip${two}_text_model`,
        ...tower(text),
        vocab_size: text.vocabulary,
        max_position_embeddings: text.positions,
        projection_size: text.projection,
        // A key of ours, which Hugging Face's classes carry along.
        text_dialect: text.dialect,
      },
      vision_config: {
        model_type: `siglip${two}_vision_model`,
        ...tower(vision),
        ...(two ? { num_patches: numPatches } : { image_size: imageSize }),
        patch_size: patchSize,
        num_channels: 3,
      },
    },
    preprocessor: {
      image_processor_type: `Siglip${two}ImageProcessor`,
      do_resize: true,
      ...(two ? { patch_size: patchSize, max_num_patches: 256 } : { size: { height: imageSize, width: imageSize } }),
      resample: resample === "bicubic" ? 3 : 2,
      do_rescale: true,
      rescale_factor: 1 / 255,
      do_normalize: true,
      image_mean: mean,
      image_std: std,
    },
  };
}
