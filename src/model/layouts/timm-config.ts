import type { ComposedTensor } from "../../checkpoint/composed.ts";
import { mismatch } from "../../support/error.ts";
import { show } from "../section.ts";
import { familyHeads, imageSizeOf, type TowerSizes, type WrittenConfig, writeConfig } from "./written-config.ts";

/** torch's own, which a text tower has whose configuration says none. */
const TORCH_EPS = 1e-5;

/**
 * What `open_clip_config.json` and the shapes of the tensors, under Hugging Face's names, say of a model. Of the
 * image tower the file names little more than timm's name for it: its sizes follow from the shapes. Throws a
 * SiglipError for an architecture that is no SigLIP: another pooling, a causal mask, another text tower, pictures
 * that are cropped.
 */
export function timmConfig(json: unknown, tensors: readonly ComposedTensor[], subject: string): WrittenConfig {
  const root = new Reader(json, subject);
  const model = root.at("model_cfg");
  const [vision, text, pictures] = [model.at("vision_cfg"), model.at("text_cfg"), root.at("preprocess_cfg")];
  const name = vision.get("timm_model_name");
  if (typeof name !== "string" || !/siglip/.test(name))
    return vision.fail("timm_model_name", "a SigLIP tower of timm's");
  vision.expect("timm_pool", ["map"]);
  vision.expect("timm_proj", ["none"]);
  text.require("pool_type", "last");
  text.require("no_causal_mask", true);
  text.expect("hf_model_name", [undefined]);
  pictures.expect("resize_mode", ["squash"]);
  pictures.expect("interpolation", ["bicubic", "bilinear"]);
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const shape = (tensor: string, axes: number) => {
    const found = shapes.get(tensor);
    if (found?.length === axes) return found;
    const wanted = `what Hugging Face calls ${tensor}, of ${axes} axes`;
    throw mismatch("bad-checkpoint", subject, wanted, found ? `${found.length}` : "none", "fetch the model again");
  };
  const [hidden, , patchSize] = shape("vision_model.embeddings.patch_embedding.weight", 4);
  const [tokens] = shape("vision_model.embeddings.position_embedding.weight", 2);
  const [vocabulary, width] = shape("text_model.embeddings.token_embedding.weight", 2);
  const [positions] = shape("text_model.embeddings.position_embedding.weight", 2);
  const [projection] = shape("text_model.head.weight", 2);
  const tower = (prefix: string, heads: number, eps: number, width: number): TowerSizes => {
    let layers = 0;
    while (shapes.has(`${prefix}.encoder.layers.${layers}.mlp.fc1.weight`)) layers++;
    const [mlp] = shape(`${prefix}.encoder.layers.0.mlp.fc1.weight`, 2);
    return { hidden: width, mlp, layers, heads, eps };
  };
  const textHeads = (text.get("heads") ?? familyHeads(width, subject)) as number;
  // Of a width that the family has not, both towers of one width are alike.
  const heads = hidden === width ? textHeads : familyHeads(hidden, subject);
  const norm = text.at("norm_kwargs").get("eps") ?? TORCH_EPS;
  const imageSize = imageSizeOf(tokens, patchSize, vision.get("image_size"), name, subject);
  return writeConfig({
    vision: { ...tower("vision_model", heads, 1e-6, hidden), imageSize, patchSize },
    text: {
      ...tower("text_model", textHeads, norm as number, width),
      ...{ vocabulary, positions, projection },
      dialect: text.at("tokenizer_kwargs").get("clean") === "canonicalize" ? "open_clip" : undefined,
    },
    mean: pictures.get("mean") ?? [0.5, 0.5, 0.5],
    std: pictures.get("std") ?? [0.5, 0.5, 0.5],
    resample: pictures.get("interpolation") === "bilinear" ? "bilinear" : "bicubic",
  });
}

/** One object of a JSON file; what is no object has no members. */
class Reader {
  private readonly values: Readonly<Record<string, unknown>>;
  private readonly path: string;

  constructor(json: unknown, path: string) {
    this.values = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
    this.path = path;
  }

  get(key: string): unknown {
    const value = Object.hasOwn(this.values, key) ? this.values[key] : undefined;
    return value === null ? undefined : value;
  }

  at(key: string): Reader {
    return new Reader(this.get(key), `${this.path}: ${key}`);
  }

  /** Refuses a value that is there and not among these. */
  expect(key: string, known: readonly unknown[]): void {
    const value = this.get(key);
    if (value !== undefined && !known.includes(value))
      this.fail(key, known.map((one) => JSON.stringify(one)).join(" or "));
  }

  /** Refuses every other value, and none: open_clip takes its own default then, which is no SigLIP's. */
  require(key: string, wanted: unknown): void {
    if (this.get(key) !== wanted) this.fail(key, JSON.stringify(wanted));
  }

  fail(key: string, wanted: string): never {
    const advice = "use a checkpoint that this package supports";
    throw mismatch("unsupported", this.path, `${key} to be ${wanted}`, show(this.get(key)), advice);
  }
}
