import type { ComposedTensor, Part, Turn } from "../../checkpoint/composed.ts";
import { elementSize } from "../../checkpoint/dtype.ts";
import type { NpzArray } from "../../checkpoint/npz.ts";
import type { Source } from "../../checkpoint/source.ts";
import { mismatch } from "../../support/error.ts";

/** Whether an npz file's array is of the model itself, not of its optimiser's state. */
export function isParameter(name: string): boolean {
  return /^(params\/)?((img|txt)\/.|[tb]$)/.test(name);
}

/** The arrays by their names without `params/`. */
export type BigVisionArrays = ReadonlyMap<string, NpzArray>;

/** Takes `params/` off. */
export function withoutParams(arrays: ReadonlyMap<string, NpzArray>): BigVisionArrays {
  return new Map([...arrays].map(([name, array]) => [name.replace(/^params\//, ""), array]));
}

/** Whether patches come flattened, [patch patch 3], as NaFlex has them: (row, column, channel) for both layouts. */
export function isNaflex(arrays: BigVisionArrays): boolean {
  return arrays.get("img/embedding/kernel")?.shape.length === 2;
}

/** Where a tower's arrays stand; `stacked` where those of all blocks are in one, the layers first. */
interface Encoder {
  readonly layers: number;
  readonly stacked: boolean;
}

/** As many as a configuration may say. A few bytes can claim any number of stacked ones. */
const MOST_LAYERS = 256;

/** The blocks below a name: `encoderblock_0` and so on, or stacked ones. Throws a SiglipError for too many. */
export function encoderOf(arrays: BigVisionArrays, below: string, file: string): Encoder {
  const stacked = arrays.get(`${below}/encoderblock/LayerNorm_0/scale`);
  let layers = stacked?.shape[0] ?? 0;
  if (!stacked) while (arrays.has(`${below}/encoderblock_${layers}/LayerNorm_0/scale`)) layers++;
  if (layers <= MOST_LAYERS) return { layers, stacked: stacked !== undefined };
  const advice = "name a SigLIP checkpoint of big_vision";
  throw mismatch("unsupported", file, `at most ${MOST_LAYERS} layers in ${below}`, `${layers}`, advice);
}

/** Dense layers of a block, and norms: big_vision's names and Hugging Face's. */
const DENSE = [
  ["MlpBlock_0/Dense_0", "mlp.fc1"],
  ["MlpBlock_0/Dense_1", "mlp.fc2"],
] as const;
const ATTENTION = "MultiHeadDotProductAttention_0";
const PROJECTIONS = [
  ["query", "q_proj"],
  ["key", "k_proj"],
  ["value", "v_proj"],
  ["out", "out_proj"],
] as const;

/**
 * A big_vision checkpoint's arrays under Hugging Face's names and in its shapes: kernels [in, out] are turned, heads
 * merged, stacked layers taken apart, the pooling head's q, k and v put together. In the order of the file. Throws a
 * SiglipError for an array that is missing or has not the axes of its kind.
 */
export function fromBigVision(arrays: BigVisionArrays, file: Source): ComposedTensor[] {
  return new Reader(arrays, file).all();
}

class Reader {
  private readonly arrays: BigVisionArrays;
  private readonly file: Source;
  private readonly composed: ComposedTensor[] = [];

  constructor(arrays: BigVisionArrays, file: Source) {
    this.arrays = arrays;
    this.file = file;
  }

  all(): ComposedTensor[] {
    this.plain("logit_scale", "t", [1]);
    this.plain("logit_bias", "b", [1]);
    if (this.has("img/")) this.image();
    if (this.has("txt/")) this.text();
    const place = ({ parts: [{ begin, stored }] }: ComposedTensor) => [stored?.begin ?? begin, begin];
    return this.composed
      .map((tensor) => ({ tensor, at: place(tensor) }))
      .sort((a, b) => a.at[0] - b.at[0] || a.at[1] - b.at[1])
      .map(({ tensor }) => tensor);
  }

  private image(): void {
    const patches = "vision_model.embeddings.patch_embedding";
    const positions = "vision_model.embeddings.position_embedding.weight";
    const kernel = this.need("img/embedding/kernel");
    if (isNaflex(this.arrays)) {
      this.dense("img/embedding", patches);
      const { shape } = this.need("img/pos_embedding");
      this.plain(positions, "img/pos_embedding", [product(shape.slice(0, 2)), ...shape.slice(2)]);
    } else {
      const [height, width, channels, hidden] = kernel.shape;
      if (kernel.shape.length !== 4) this.wrongAxes(kernel, "[patch, patch, 3, width]");
      const pixels = height * width;
      const order = (row: number) => (row % channels) * pixels + Math.floor(row / channels);
      const turned = { rows: pixels * channels, columns: hidden, order };
      this.add(`${patches}.weight`, [hidden, channels, height, width], kernel, [part(kernel, this.file, { turned })]);
      this.plain(`${patches}.bias`, "img/embedding/bias");
      this.plain(positions, "img/pos_embedding", undefined, 1);
    }
    this.blocks("img/Transformer", "vision_model.encoder.layers");
    this.norm("img/Transformer/encoder_norm", "vision_model.post_layernorm");
    const [head, ours] = ["img/MAPHead_0", "vision_model.head"];
    this.plain(`${ours}.probe`, `${head}/probe`);
    this.norm(`${head}/LayerNorm_0`, `${ours}.layernorm`);
    for (const [theirs, name] of DENSE) this.dense(`${head}/${theirs}`, `${ours}.${name}`);
    this.projection(`${head}/${ATTENTION}/out`, `${ours}.attention.out_proj`);
    for (const [theirs, name] of [
      ["kernel", "in_proj_weight"],
      ["bias", "in_proj_bias"],
    ] as const) {
      const three = ["query", "key", "value"].map((which) => this.need(`${head}/${ATTENTION}/${which}/${theirs}`));
      const rows = product(three[0].shape.slice(theirs === "kernel" ? 1 : 0));
      const turned = theirs === "kernel" ? { rows: three[0].shape[0], columns: rows } : undefined;
      const shape = turned ? [3 * rows, turned.rows] : [3 * rows];
      if (three.some(({ dtype, shape }) => dtype !== three[0].dtype || shape.join() !== three[0].shape.join())) {
        this.wrongAxes(three[0], "the same shape and type for query, key and value");
      }
      this.add(
        `${ours}.attention.${name}`,
        shape,
        three[0],
        three.map((array) => part(array, this.file, { turned })),
      );
    }
  }

  private text(): void {
    this.plain("text_model.embeddings.token_embedding.weight", "txt/Embed_0/embedding");
    this.plain("text_model.embeddings.position_embedding.weight", "txt/pos_embedding", undefined, 1);
    this.blocks("txt/Encoder_0", "text_model.encoder.layers");
    this.norm("txt/Encoder_0/encoder_norm", "text_model.final_layer_norm");
    this.dense("txt/head", "text_model.head");
  }

  private blocks(below: string, ours: string): void {
    const { layers, stacked } = encoderOf(this.arrays, below, this.file.name);
    for (let layer = 0; layer < layers; layer++) {
      const block = stacked ? `${below}/encoderblock` : `${below}/encoderblock_${layer}`;
      const at = stacked ? { layer, layers } : undefined;
      const name = `${ours}.${layer}`;
      for (const norm of [0, 1]) this.norm(`${block}/LayerNorm_${norm}`, `${name}.layer_norm${norm + 1}`, at);
      for (const [theirs, dense] of DENSE) this.dense(`${block}/${theirs}`, `${name}.${dense}`, at);
      for (const [theirs, projection] of PROJECTIONS) {
        this.projection(`${block}/${ATTENTION}/${theirs}`, `${name}.self_attn.${projection}`, at);
      }
    }
  }

  private norm(theirs: string, ours: string, at?: Layer): void {
    this.plain(`${ours}.weight`, `${theirs}/scale`, undefined, 0, at);
    this.plain(`${ours}.bias`, `${theirs}/bias`, undefined, 0, at);
  }

  private dense(theirs: string, ours: string, at?: Layer): void {
    const kernel = this.need(`${theirs}/kernel`);
    const shape = this.shapeOf(kernel, at);
    if (shape.length !== 2) this.wrongAxes(kernel, "[in, out]");
    this.kernel(`${ours}.weight`, kernel, shape[0], shape[1], at);
    this.plain(`${ours}.bias`, `${theirs}/bias`, undefined, 0, at);
  }

  /** Of query, key and value [in, heads, features], of out [heads, features, out]. */
  private projection(theirs: string, ours: string, at?: Layer): void {
    const kernel = this.need(`${theirs}/kernel`);
    const shape = this.shapeOf(kernel, at);
    if (shape.length !== 3) this.wrongAxes(kernel, "three axes, heads among them");
    const rows = theirs.endsWith("/out") ? shape[0] * shape[1] : shape[0];
    this.kernel(`${ours}.weight`, kernel, rows, product(shape) / rows, at);
    const bias = this.need(`${theirs}/bias`);
    this.plain(`${ours}.bias`, `${theirs}/bias`, [product(this.shapeOf(bias, at))], 0, at);
  }

  private kernel(ours: string, kernel: NpzArray, rows: number, columns: number, at?: Layer): void {
    this.add(ours, [columns, rows], kernel, [part(kernel, this.file, { turned: { rows, columns }, at })]);
  }

  /** An array as it is, in another shape, or without its first `dropped` axes of 1. */
  private plain(ours: string, theirs: string, shape?: readonly number[], dropped = 0, at?: Layer): void {
    const array = this.need(theirs);
    const own = this.shapeOf(array, at);
    if (own.slice(0, dropped).some((axis) => axis !== 1)) this.wrongAxes(array, "a first axis of 1");
    this.add(ours, shape ?? own.slice(dropped), array, [part(array, this.file, { at })]);
  }

  private add(name: string, shape: readonly number[], { dtype }: NpzArray, parts: readonly Part[]): void {
    this.composed.push({ name, dtype, shape, parts });
  }

  private shapeOf(array: NpzArray, at?: Layer): readonly number[] {
    if (!at) return array.shape;
    if (array.shape[0] !== at.layers) this.wrongAxes(array, `${at.layers} layers first`);
    return array.shape.slice(1);
  }

  private has(below: string): boolean {
    return [...this.arrays.keys()].some((name) => name.startsWith(below));
  }

  private need(name: string): NpzArray {
    const array = this.arrays.get(name);
    if (array?.shape.includes(0)) this.wrongAxes(array, "no axis of 0");
    if (array) return array;
    const found = `${this.arrays.size} arrays but not this one`;
    throw mismatch(
      "bad-checkpoint",
      this.file.name,
      `the array ${name}`,
      found,
      "name a SigLIP checkpoint of big_vision",
    );
  }

  private wrongAxes({ name, shape }: NpzArray, wanted: string): never {
    const advice = "name a SigLIP checkpoint of big_vision";
    throw mismatch("unsupported", this.file.name, `${name} with ${wanted}`, `[${shape.join(", ")}]`, advice);
  }
}

/** Which layer of a stacked array, of how many. */
interface Layer {
  readonly layer: number;
  readonly layers: number;
}

function part(array: NpzArray, file: Source, { turned, at }: { turned?: Turn; at?: Layer }): Part {
  const { source, range, dtype, shape } = array;
  const bytes = (product(shape) * elementSize(dtype)) / (at?.layers ?? 1);
  const begin = array.begin + bytes * (at?.layer ?? 0);
  const stored = source === file ? undefined : { ...range, file };
  return { source, begin, end: begin + bytes, stored, turned };
}

function product(shape: readonly number[]): number {
  return shape.reduce((product, axis) => product * axis, 1);
}
