import { mismatch } from "../../support/error.ts";
import { type BigVisionArrays, encoderOf } from "./big-vision.ts";
import { imageSizeOf, type TowerSizes, type WrittenConfig, writeConfig } from "./written-config.ts";

/** The vocabulary of SigLIP 2, whose pictures were scaled bilinearly. */
const GEMMA = 256_000;

/**
 * What the shapes of a big_vision checkpoint's arrays say of a model, which has no configuration beside it: heads
 * from the attention kernels; the picture's side from the positions and the patch, or the number in the file's name
 * that is cut into as many patches; the resize filter from the vocabulary, by which SigLIP's two generations differ.
 */
export function bigVisionConfig(arrays: BigVisionArrays, file: string): WrittenConfig {
  const shape = (name: string, axes: number) => {
    const found = arrays.get(name)?.shape;
    if (found?.length === axes) return found;
    const what = found ? `[${found.join(", ")}]` : "none";
    const advice = "name a SigLIP checkpoint of big_vision with both towers";
    throw mismatch("unsupported", file, `the array ${name} of ${axes} axes`, what, advice);
  };
  const tower = (below: string): TowerSizes => {
    const { layers, stacked } = encoderOf(arrays, below);
    const block = `${below}/encoderblock${stacked ? "" : "_0"}`;
    const inBlock = (name: string, axes: number) => shape(`${block}/${name}`, axes + Number(stacked)).slice(-axes);
    const [hidden, mlp] = inBlock("MlpBlock_0/Dense_0/kernel", 2);
    const [, heads] = inBlock("MultiHeadDotProductAttention_0/query/kernel", 3);
    return { hidden, mlp, layers, heads, eps: 1e-6 };
  };
  const [patchSize] = shape("img/embedding/kernel", 4);
  const [, tokens] = shape("img/pos_embedding", 3);
  const [vocabulary] = shape("txt/Embed_0/embedding", 2);
  const [, positions] = shape("txt/pos_embedding", 3);
  const [, projection] = shape("txt/head/kernel", 2);
  const half = [0.5, 0.5, 0.5];
  const imageSize = imageSizeOf(tokens, patchSize, undefined, file.replace(/[?#].*$|^.*[/\\]/gs, ""), file);
  return writeConfig({
    vision: { ...tower("img/Transformer"), imageSize, patchSize },
    text: { ...tower("txt/Encoder_0"), vocabulary, positions, projection, dialect: "big_vision" },
    mean: half,
    std: half,
    resample: vocabulary === GEMMA ? "bilinear" : "bicubic",
  });
}
