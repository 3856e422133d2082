import { mismatch } from "../../support/error.ts";
import { type BigVisionArrays, encoderOf, isNaflex } from "./big-vision.ts";
import { imageSizeOf, type TowerSizes, type WrittenConfig, writeConfig } from "./written-config.ts";

/** The vocabulary of SigLIP 2, whose pictures were scaled bilinearly. */
const GEMMA = 256_000;

/**
 * What the shapes of a big_vision checkpoint's arrays say of a model, which has no configuration beside it: heads
 * from the attention kernels; the picture's side from the positions and the patch, or the number in the file's name
 * that is cut into as many patches; the resize filter from the vocabulary, by which SigLIP's two generations differ.
 * `file` is shown in errors, `name` is the file's name alone.
 */
export function bigVisionConfig(arrays: BigVisionArrays, file: string, name: string): WrittenConfig {
  const shape = (name: string, axes: number) => {
    const found = arrays.get(name)?.shape;
    if (found?.length === axes) return found;
    const what = found ? `[${found.join(", ")}]` : "none";
    const advice = "name a SigLIP checkpoint of big_vision with both towers";
    throw mismatch("unsupported", file, `the array ${name} of ${axes} axes`, what, advice);
  };
  const tower = (below: string): TowerSizes => {
    const { layers, stacked } = encoderOf(arrays, below, file);
    const block = `${below}/encoderblock${stacked ? "" : "_0"}`;
    const inBlock = (name: string, axes: number) => shape(`${block}/${name}`, axes + Number(stacked)).slice(-axes);
    const [hidden, mlp] = inBlock("MlpBlock_0/Dense_0/kernel", 2);
    const [, heads] = inBlock("MultiHeadDotProductAttention_0/query/kernel", 3);
    return { hidden, mlp, layers, heads, eps: 1e-6 };
  };
  const naflex = isNaflex(arrays);
  const kernel = shape("img/embedding/kernel", naflex ? 2 : 4);
  const patchSize = naflex ? Math.round(Math.sqrt(kernel[0] / 3)) : kernel[0];
  const [rows, columns] = shape("img/pos_embedding", 3);
  // Of NaFlex a grid, else all in one row.
  const tokens = rows * columns;
  const known = naflex ? 3 * patchSize ** 2 === kernel[0] && rows === columns : kernel[2] === 3 && rows === 1;
  if (!known) {
    const wanted = "patches [patch, patch, 3] with positions [1, n], or [patch patch 3] with a square of them";
    const found = `[${kernel.slice(0, -1).join(", ")}] and [${rows}, ${columns}]`;
    throw mismatch("unsupported", file, wanted, found, "use a SigLIP checkpoint of big_vision");
  }
  const [vocabulary] = shape("txt/Embed_0/embedding", 2);
  const [, positions] = shape("txt/pos_embedding", 3);
  const [, projection] = shape("txt/head/kernel", 2);
  const half = [0.5, 0.5, 0.5];
  const imageSize = imageSizeOf(tokens, patchSize, undefined, name, file);
  return writeConfig({
    vision: { ...tower("img/Transformer"), imageSize, patchSize, numPatches: naflex ? tokens : undefined },
    text: { ...tower("txt/Encoder_0"), vocabulary, positions, projection, dialect: "big_vision" },
    mean: half,
    std: half,
    resample: naflex || vocabulary === GEMMA ? "bilinear" : "bicubic",
  });
}
