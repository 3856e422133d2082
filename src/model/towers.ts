import type { Weights } from "../checkpoint/weights.ts";
import { SiglipError } from "../support/error.ts";
import { type Backend, type Shape, size, type Tensor, type WeightDType, type WeightSpec } from "../tensor/backend.ts";
import type { SiglipConfig } from "./config.ts";
import { Params } from "./params.ts";
import { loadTextTower, textTower } from "./text.ts";
import { TokenTable } from "./token-table.ts";
import type { Tap } from "./transformer.ts";
import { loadVisionTower, visionTower } from "./vision.ts";

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

/** Both towers of a checkpoint on a backend. */
export interface Towers {
  /** exp(logit_scale), the factor of the cosine. */
  readonly scale: number;
  readonly bias: number;
  /** Tensors of the checkpoint that no tower has a use for. */
  readonly unused: readonly string[];
  /** Pixel values [n, 3, size, size] to pooled images [n, hidden], not normalised. */
  image(pixelValues: Float32Array, options?: ForwardOptions): Promise<Values>;
  /** Token ids [n, positions] to pooled texts [n, projection], not normalised. */
  text(ids: ArrayLike<number>, options?: ForwardOptions): Promise<Values>;
}

/** The one tensor of which only rows are read; see TokenTable. */
export const TOKEN_TABLE = "text_model.embeddings.token_embedding.weight";

/** Buffers that older checkpoints carry and that say nothing. */
const HARMLESS = /(^|\.)position_ids$/;

/** Streams the weights of the towers asked for to a backend; names and shapes are checked against the config. */
export async function loadTowers<T extends Tensor>(
  backend: Backend<T>,
  weights: Weights,
  config: SiglipConfig,
  { dtype, towers, signal, onProgress }: TowerOptions,
): Promise<Towers> {
  const wanted = (name: string) =>
    !(name.startsWith("vision_model.") && !towers.includes("image")) &&
    !(name.startsWith("text_model.") && !towers.includes("text"));
  const needed = [...weights.tensors.values()].filter(({ name }) => wanted(name) && name !== TOKEN_TABLE);
  const total = needed.reduce((sum, { begin, end }) => sum + end - begin, 0);
  weights.plan(needed.map(({ name }) => name));
  let loaded = 0;
  const onBytes = (bytes: number) => {
    loaded += bytes;
    onProgress?.(loaded, total);
  };
  const used = new Set<string>([TOKEN_TABLE]);
  const smaller = smallerThan(
    dtype,
    needed.map(({ shape }) => shape),
  );
  const params = new Params({ backend, weights, dtype, smaller, used, signal, onBytes });

  const [logScale] = await params.values("logit_scale", [1]);
  const [bias] = await params.values("logit_bias", [1]);
  const scale = Math.exp(logScale);
  if (!Number.isFinite(scale) || !Number.isFinite(bias)) {
    throw new SiglipError(
      `logit_scale and logit_bias: wanted finite numbers, found ${logScale} and ${bias}; the checkpoint is damaged, fetch it again.`,
    );
  }
  // In the order of published files, so that a server is asked once for all that lies together.
  const tokens =
    towers.includes("text") &&
    new TokenTable(
      weights,
      TOKEN_TABLE,
      dtype === "f32" ? "f32" : "f16",
      config.text,
      await params
        .at("text_model.embeddings")
        .values("position_embedding.weight", [config.text.positions, config.text.hidden]),
    );
  const text = tokens && (await loadTextTower(params.at("text_model"), config.text));
  const vision = towers.includes("image") && (await loadVisionTower(params.at("vision_model"), config.vision));

  await backend.settle();
  weights.plan([]);
  onProgress?.(total, total);
  return {
    scale,
    bias,
    unused: [...weights.tensors.keys()].filter((name) => wanted(name) && !used.has(name) && !HARMLESS.test(name)),
    async image(pixelValues, options) {
      if (!vision) throw missing("image");
      const { imageSize, patchSize, channels, tokens: count, hidden, mlp } = config.vision;
      const item = channels * imageSize ** 2;
      const depth = channels * patchSize ** 2;
      checkPixels(pixelValues, item);
      return inParts(backend, {
        count: pixelValues.length / item,
        width: hidden,
        elements: Math.max(
          count * (Math.max(3 * hidden, mlp, depth) + PADDING),
          channels * imageSize * (imageSize + PADDING),
        ),
        input: async (from, to) => pixelValues.subarray(from * item, to * item),
        shape: (batch) => [batch, channels, imageSize, imageSize],
        tower: (x, tap) => visionTower(backend, vision, x, tap),
        ...options,
      });
    },
    async text(ids, options) {
      if (!text || !tokens) throw missing("text");
      const { positions, hidden, mlp, projection } = config.text;
      if (!(ids?.length % positions === 0)) {
        throw new SiglipError(
          `textTower: wanted token ids of [n, ${positions}], found ${ids?.length}; pad every text with the checkpoint's tokenizer.`,
        );
      }
      const list = Array.from(ids);
      return inParts(backend, {
        count: ids.length / positions,
        width: projection,
        elements: positions * (Math.max(3 * hidden, mlp) + PADDING),
        input: (from, to) => tokens.embed(list.slice(from * positions, to * positions), options?.signal),
        shape: (batch) => [batch, positions, hidden],
        tower: (x, tap) => textTower(backend, text, x, tap),
        ...options,
      });
    },
  };
}

/** Bits of a weight of a matrix, its share of the scales counted. */
const BITS: Readonly<Record<WeightDType, number>> = { f32: 32, f16: 16, q8: 8.5, q4: 4.5 };

/** Bytes of tensors of these shapes in a precision, the few that are kept in a higher one not considered. */
export function weightBytes(shapes: readonly Shape[], dtype: WeightDType): number {
  const bits = shapes.reduce((sum, shape) => sum + size(shape) * (shape.length > 1 ? BITS[dtype] : 32), 0);
  return Math.ceil(bits / 8);
}

/** The next smaller dtype, and the bytes of tensors of these shapes in it; undefined where there is none. */
function smallerThan(dtype: WeightDType, shapes: readonly Shape[]): WeightSpec["smaller"] {
  const next = ({ f32: "f16", f16: "q8", q8: "q4", q4: undefined } as const)[dtype];
  return next && { dtype: next, bytes: weightBytes(shapes, next) };
}

/** Items of one pass: a dispatch counts at most 65,535 workgroups an axis. */
const MOST = 512;

/** What a backend may add to a row to align it. */
const PADDING = 128;

interface Pass<T> extends ForwardOptions {
  count: number;
  width: number;
  /** Of the largest tensor that one item makes. */
  elements: number;
  input: (from: number, to: number) => Promise<Float32Array>;
  shape: (batch: number) => number[];
  tower: (x: T, tap?: Tap<T>) => T;
}

/** Runs a batch in parts that the backend's largest tensor allows, and puts results and taps together again. */
async function inParts<T extends Tensor>(b: Backend<T>, pass: Pass<T>): Promise<Values> {
  const { count, width, tap, signal } = pass;
  const out = new Float32Array(count * width);
  const tapped = new Map<string, Values[]>();
  const step = Math.max(1, Math.min(MOST, Math.floor(b.maxElements / pass.elements)));
  for (let from = 0; from < count; from += step) {
    signal?.throwIfAborted();
    const to = Math.min(count, from + step);
    const data = await pass.input(from, to);
    const reads: Promise<void>[] = [];
    const watch: Tap<T> = (name, tensor) => {
      const { shape } = tensor;
      if (!tapped.has(name)) tapped.set(name, []);
      reads.push(b.read(tensor, signal).then((values) => void tapped.get(name)!.push({ data: values, shape })));
    };
    const pooled = b.scope(() => b.read(pass.tower(b.tensor(data, pass.shape(to - from)), tap && watch), signal));
    const [rows] = await Promise.all([pooled, ...reads]);
    out.set(rows, from * width);
  }
  for (const [name, parts] of tapped) tap?.(name, concatenate(parts));
  return { data: out, shape: [count, width] };
}

function concatenate(parts: readonly Values[]): Values {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let filled = 0;
  let batch = 0;
  for (const part of parts) {
    data.set(part.data, filled);
    filled += part.data.length;
    batch += part.shape[0];
  }
  return { data, shape: [batch, ...parts[0].shape.slice(1)] };
}

function missing(tower: Tower): SiglipError {
  return new SiglipError(
    `The ${tower} tower was wanted, found it not loaded; load with towers: ["${tower}"] among others.`,
  );
}

function checkPixels(values: Float32Array, item: number): void {
  if (!(values instanceof Float32Array && values.length % item === 0)) {
    throw new SiglipError(
      `imageTower: wanted a Float32Array of [n, 3, size, size], ${item} an image, found ${(values as Float32Array | undefined)?.length}; use the checkpoint's image size.`,
    );
  }
  // Zero, or NaN where a value is not finite; a search with a callback takes longer than a GPU does for the picture.
  let odd = 0;
  for (let i = 0; i < values.length; i++) odd += values[i] - values[i];
  if (odd !== 0) {
    const bad = values.findIndex((value) => !Number.isFinite(value));
    throw new SiglipError(
      `imageTower: wanted finite pixel values, found ${values[bad]} at ${bad}; check the preprocessing.`,
    );
  }
}
