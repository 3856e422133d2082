import type { Weights } from "../checkpoint/weights.ts";
import type { FlexiblePictures, Grid } from "../image/naflex.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import type { Backend } from "../tensor/backend.ts";
import { BITS } from "../tensor/cost.ts";
import type { WeightSpec } from "../tensor/packing.ts";
import { type Program, Recorder, type WeightDType } from "../tensor/program.ts";
import { padded, type Shape, size } from "../tensor/shape.ts";
import type { SiglipConfig } from "./config.ts";
import { HARMLESS, PREFIX, TOKEN_TABLE, towerOf } from "./layouts/hugging-face.ts";
import { loadWeights, readValues } from "./load-weights.ts";
import { Params } from "./params.ts";
import { Pass, type PassOptions } from "./pass.ts";
import type { PositionInputs } from "./positions.ts";
import { bindTextTower, type TextTower, textTower } from "./text.ts";
import { TokenTable } from "./token-table.ts";
import type { TowerParts } from "./tower-parts.ts";
import { bindVisionTower, type VisionTower, visionTower } from "./vision.ts";

/** Which half of a model. */
export type Tower = "image" | "text";

/** A dense float32 array, row-major. */
export interface Values {
  /** As many values as the shape says. */
  readonly data: Float32Array;
  /** Outermost axis first. */
  readonly shape: Shape;
}

/** Options of a forward pass. */
export interface ForwardOptions {
  /**
   * Called once with every named intermediate, in order: `hidden_states.0` (the embedding) to `hidden_states.N`
   * [batch, tokens, hidden], and for images `last_hidden_state` (after the last norm).
   */
  readonly tap?: (name: string, values: Values) => void;
  /** Rejects the call with its reason. */
  readonly signal?: AbortSignal;
}

/** Options of `loadTowers`. */
export interface TowerOptions {
  readonly dtype: WeightDType;
  readonly towers: readonly Tower[];
  readonly signal?: AbortSignal;
  /** Bytes of weights handed to the backend so far, and in all. */
  readonly onProgress?: (loaded: number, total: number) => void;
}

/** Pictures in patches. */
export interface PreparedPictures {
  readonly patches: Float32Array;
  /** Of NaFlex alone. */
  readonly grids?: readonly Grid[];
}

/** Both towers of a checkpoint on a backend. */
export interface Towers {
  /** exp(logit_scale), the factor of the cosine; NaN where a tower alone comes without it. */
  readonly scale: number;
  /** logit_bias, likewise. */
  readonly bias: number;
  /** Tensors of the checkpoint that no tower has a use for. */
  readonly unused: readonly string[];
  /**
   * Pixel values [n, 3, height, width], of NaFlex patches and grids, to pooled images [n, hidden], not normalised, or
   * where the tower has no head to its last hidden state [n, tokens * hidden].
   */
  image(pictures: Float32Array | FlexiblePictures, options?: ForwardOptions): Promise<Values>;
  /**
   * The same from patches [n, tokens, 3 patch patch], each row padded with zeros to a multiple of 32, and of NaFlex
   * their grids.
   */
  patches(pictures: PreparedPictures, options?: ForwardOptions): Promise<Values>;
  /** What can be had of the image tower beside its pooled output. */
  parts(): Promise<TowerParts>;
  /** Token ids [n, positions] to pooled texts [n, projection], not normalised. */
  text(ids: ArrayLike<number>, options?: ForwardOptions): Promise<Values>;
}

/** Both towers' weights by name, from a configuration alone. */
export function bindTowers(config: SiglipConfig, dtype: WeightDType): { vision: VisionTower; text: TextTower } {
  return {
    vision: bindVisionTower(new Params(PREFIX.image, dtype), config.vision),
    text: bindTextTower(new Params(PREFIX.text, dtype), config.text),
  };
}

/**
 * The image tower as a program: input `patches` [batch, tokens, 3 patch patch], output `pooled` [batch, 1, hidden]; see
 * `visionTower` for what NaFlex wants beside. There `tokens` may be any number.
 */
export function imageProgram(tower: VisionTower, batch: number, taps = false, tokens = tower.config.tokens): Program {
  const { channels, patchSize } = tower.config;
  const p = new Recorder({ taps });
  p.output("pooled", visionTower(p, tower, p.input("patches", [batch, tokens, channels * patchSize ** 2])));
  return p.finish();
}

/** The text tower as a program: input `embedded` [batch, positions, hidden], output `pooled` [batch, projection]. */
export function textProgram(tower: TextTower, batch: number, taps = false): Program {
  const { positions, hidden } = tower.config;
  const p = new Recorder({ taps });
  p.output("pooled", textTower(p, tower, p.input("embedded", [batch, positions, hidden])));
  return p.finish();
}

/** Streams the weights of the towers asked for to a backend; names and shapes are checked against the config. */
export async function loadTowers(
  backend: Backend,
  weights: Weights,
  config: SiglipConfig,
  { dtype, towers, signal, onProgress }: TowerOptions,
): Promise<Towers> {
  const text = new Params(PREFIX.text, dtype);
  const vision = new Params(PREFIX.image, dtype);
  const textWeights = towers.includes("text") ? bindTextTower(text, config.text) : undefined;
  const visionWeights = towers.includes("image") ? bindVisionTower(vision, config.vision) : undefined;
  const bindings = [...text.bindings, ...vision.bindings];
  const [positionTable, learnedGrid] = [PREFIX.text, PREFIX.image].map(
    (prefix) => `${prefix}embeddings.position_embedding.weight`,
  );
  const used = new Set(bindings.flatMap(({ pieces }) => pieces.map(({ name }) => name)));
  for (const name of ["logit_scale", "logit_bias", ...(textWeights ? [positionTable] : [])]) used.add(name);
  if (visionWeights) used.add(learnedGrid);
  const needed = [...weights.tensors.values()].filter(({ name }) => used.has(name));
  const total = needed.reduce((sum, { begin, end }) => sum + end - begin, 0);
  weights.plan(needed.map(({ name }) => name));
  let loaded = 0;
  const onBytes = (bytes: number) => {
    loaded += bytes;
    onProgress?.(loaded, total);
  };
  const options = { signal, onBytes };
  let [scale, bias] = [Number.NaN, Number.NaN];
  if (config.towers.length > 1 || weights.tensors.has("logit_scale")) {
    const [logScale] = await readValues(weights, "logit_scale", [1], options);
    [bias] = await readValues(weights, "logit_bias", [1], options);
    scale = Math.exp(logScale);
    if (!Number.isFinite(scale) || !Number.isFinite(bias)) {
      const found = `${logScale} and ${bias}`;
      const advice = "the checkpoint is damaged, fetch it again";
      throw mismatch("bad-checkpoint", "logit_scale and logit_bias", "finite numbers", found, advice);
    }
  }
  let tokens: TokenTable | undefined;
  if (towers.includes("text")) {
    const positions = await readValues(weights, positionTable, [config.text.positions, config.text.hidden], options);
    tokens = new TokenTable(weights, TOKEN_TABLE, dtype === "f32" ? "f32" : "f16", config.text, positions);
  }
  const { imageSize, patchSize, channels, hidden, mlp, tokens: count } = config.vision;
  let positionsOf: PositionInputs | undefined;
  if (visionWeights && !visionWeights.positions) {
    const side = Math.floor(imageSize / patchSize);
    const table = await readValues(weights, learnedGrid, [side * side, hidden], options);
    positionsOf = (await import("./positions.ts")).positionInputs(table, config.vision);
  }
  const shapes = needed.map(({ shape }) => shape);
  await loadWeights(backend, weights, bindings, { ...options, smaller: smallerThan(dtype, shapes) });
  await backend.loaded();
  weights.plan([]);
  onProgress?.(total, total);

  used.add(TOKEN_TABLE);
  const depth = channels * patchSize ** 2;
  const passOf = (program: PassOptions["program"]) =>
    new Pass(backend, { elements: Math.max(3 * hidden, mlp, depth) + ALIGNMENT, tokens: count, program });
  const imagePass = visionWeights && passOf((batch, taps, most) => imageProgram(visionWeights, batch, taps, most));
  const { positions } = config.text;
  const textPass =
    textWeights &&
    new Pass(backend, {
      elements: Math.max(3 * config.text.hidden, config.text.mlp) + ALIGNMENT,
      tokens: positions,
      program: (batch, taps) => textProgram(textWeights, batch, taps),
    });
  const runImages = async (
    { patches, grids }: PreparedPictures,
    options?: ForwardOptions,
    pass = imagePass,
    stride = padded(depth),
  ) => {
    if (!pass) throw noTower("image", config);
    const each = grids ? patches.length / grids.length : count * stride;
    const inputs = async (from: number, to: number) => ({
      patches: patches.subarray(from * each, to * each),
      ...positionsOf?.(grids?.slice(from, to), each / stride),
    });
    return pass.run(patches.length / each, options, inputs, each / stride);
  };
  return {
    scale,
    bias,
    unused: [...weights.tensors.keys()].filter(
      (name) => towers.includes(towerOf(name) ?? towers[0]) && !used.has(name) && !HARMLESS.test(name),
    ),
    async image(pictures, options) {
      return runImages((await import("./picture-input.ts")).prepared(pictures, config), options, imagePass, depth);
    },
    patches: runImages,
    async parts() {
      if (!visionWeights) throw noTower("image", config);
      return (await import("./tower-parts.ts")).partsOf(visionWeights, { passOf, runImages });
    },
    async text(ids, options) {
      if (!textPass || !tokens) throw noTower("text", config);
      if (!(ids?.length % positions === 0)) {
        const advice = "pad every text with the checkpoint's tokenizer";
        throw mismatch("bad-input", "textTower", `token ids of [n, ${positions}]`, `${ids?.length}`, advice);
      }
      const list = Array.from(ids);
      return textPass.run(ids.length / positions, options, async (from, to) => ({
        embedded: await tokens.embed(list.slice(from * positions, to * positions), options?.signal),
      }));
    },
  };
}

/** Bytes of tensors of these shapes in a precision, the few that are kept in a higher one not considered. */
export function weightBytes(shapes: readonly Shape[], dtype: WeightDType): number {
  const bits = shapes.reduce((sum, shape) => sum + size(shape) * (shape.length > 1 ? BITS[dtype] : 32), 0);
  return Math.ceil(bits / 8);
}

/** The next smaller dtype, and the bytes of tensors of these shapes in it; undefined where there is none. */
function smallerThan(dtype: WeightDType, shapes: readonly Shape[]): WeightSpec["smaller"] {
  const next = ({ f32: "f16", f16: "q8", q8: "q4", i8: "q4", q4: undefined } as const)[dtype];
  return next && { dtype: next, bytes: weightBytes(shapes, next) };
}

/** What a backend may add to a row to align it. */
const ALIGNMENT = 128;

/** The error for a call of a tower that was not loaded, or that the checkpoint has not. */
export function noTower(tower: Tower, config: SiglipConfig): SiglipError {
  const [found, advice] = config.towers.includes(tower)
    ? ["it was not asked for", 'load with towers: ["image", "text"]']
    : [`the ${config.towers} tower alone`, "load a checkpoint of both towers"];
  return mismatch("bad-input", `The ${tower} tower`, "it loaded", found, advice);
}
