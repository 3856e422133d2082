import { encodeHeader, type TensorData, type TensorInfo } from "../../src/checkpoint/safetensors.ts";
import { checkRange, type Source } from "../../src/checkpoint/source.ts";
import type { SiglipConfig, TowerConfig } from "../../src/model/config.ts";

/** Every tensor of a checkpoint in Hugging Face's layout, with its shape. */
export function syntheticShapes({ text, vision }: SiglipConfig): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  const linear = (name: string, out: number, ...rest: number[]) => {
    shapes.set(`${name}.weight`, [out, ...rest]);
    shapes.set(`${name}.bias`, [out]);
  };
  const mlp = (name: string, hidden: number, inner: number) => {
    linear(`${name}.fc1`, inner, hidden);
    linear(`${name}.fc2`, hidden, inner);
  };
  const encoder = (tower: string, { hidden, mlp: inner, layers }: TowerConfig) => {
    for (let layer = 0; layer < layers; layer++) {
      const block = `${tower}.encoder.layers.${layer}`;
      linear(`${block}.layer_norm1`, hidden);
      for (const part of ["q", "k", "v", "out"]) linear(`${block}.self_attn.${part}_proj`, hidden, hidden);
      linear(`${block}.layer_norm2`, hidden);
      mlp(`${block}.mlp`, hidden, inner);
    }
  };
  shapes.set("logit_scale", [1]);
  shapes.set("logit_bias", [1]);
  shapes.set("text_model.embeddings.token_embedding.weight", [text.vocabulary, text.hidden]);
  shapes.set("text_model.embeddings.position_embedding.weight", [text.positions, text.hidden]);
  encoder("text_model", text);
  linear("text_model.final_layer_norm", text.hidden);
  linear("text_model.head", text.projection, text.hidden);
  const { hidden, imageSize, patchSize, channels } = vision;
  const patch = vision.naflex ? [channels * patchSize ** 2] : [channels, patchSize, patchSize];
  linear("vision_model.embeddings.patch_embedding", hidden, ...patch);
  const positions = Math.floor(imageSize / patchSize) ** 2;
  shapes.set("vision_model.embeddings.position_embedding.weight", [positions, hidden]);
  encoder("vision_model", vision);
  linear("vision_model.post_layernorm", hidden);
  shapes.set("vision_model.head.probe", [1, 1, hidden]);
  shapes.set("vision_model.head.attention.in_proj_weight", [3 * hidden, hidden]);
  shapes.set("vision_model.head.attention.in_proj_bias", [3 * hidden]);
  linear("vision_model.head.attention.out_proj", hidden, hidden);
  linear("vision_model.head.layernorm", hidden);
  mlp("vision_model.head.mlp", hidden, vision.mlp);
  return shapes;
}

/** Rows `from` to `to` (of the first axis) of a tensor by the rule for synthetic weights, row-major. */
export function syntheticTensor(name: string, shape: readonly number[], from = 0, to = shape[0]): Float32Array {
  const row = size(shape.slice(1));
  return elements(name, shape, from * row, to * row);
}

/**
 * A whole safetensors file of synthetic float32 weights that exists nowhere: every range is made when it is read. Golden
 * cases need no file, however large they are.
 */
export function syntheticSource(config: SiglipConfig): Source {
  const shapes = syntheticShapes(config);
  const header = encodeHeader(syntheticData(shapes), [["format", "pt"]]);
  const tensors: TensorInfo[] = [];
  let end = header.length;
  for (const [name, shape] of shapes) {
    const begin = end;
    end += 4 * size(shape);
    tensors.push({ name, dtype: "F32", shape, begin, end });
  }
  const source: Source = {
    name: "synthetic.safetensors",
    size: end,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      if (offset < header.length) bytes.set(header.subarray(offset, offset + length));
      for (const { name, shape, begin, end } of tensors) {
        const from = Math.max(offset, begin);
        const to = Math.min(offset + length, end);
        if (from >= to) continue;
        const first = Math.floor((from - begin) / 4);
        const values = elements(name, shape, first, Math.ceil((to - begin) / 4));
        const skipped = from - begin - 4 * first;
        bytes.set(new Uint8Array(values.buffer, skipped, to - from), from - offset);
      }
      return bytes;
    },
  };
  return source;
}

/** The tensors of these shapes for the safetensors writer, made some 4 MiB at a time. */
export function* syntheticData(shapes: ReadonlyMap<string, number[]>): Generator<TensorData> {
  for (const [name, shape] of shapes) yield { name, dtype: "F32", shape, data: chunks(name, shape) };
}

function* chunks(name: string, shape: readonly number[]): Generator<Uint8Array> {
  const count = size(shape);
  for (let first = 0; first < count; first += 2 ** 20) {
    yield new Uint8Array(elements(name, shape, first, Math.min(count, first + 2 ** 20)).buffer);
  }
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, axis) => product * axis, 1);
}

function elements(name: string, shape: readonly number[], first: number, last: number): Float32Array {
  // An element depends on the sum of the four bytes of its hash only, and that has just 1021 values.
  const table = Float32Array.from({ length: 1021 }, (_, sum) => weight(name, shape, deviate(sum)));
  const seed = fnv1a(name);
  const out = new Float32Array(last - first);
  for (let i = 0; i < out.length; i++) out[i] = table[byteSum(seed, first + i)];
  const special = Math.floor(shape[0] / 3);
  if (first <= special && special < last) {
    if (isNormWeight(name)) out[special - first] = 0.05;
    if (name.endsWith(".layers.1.mlp.fc2.bias")) {
      out[special - first] = weight(name, shape, deviate(byteSum(seed, special))) + 300;
    }
  }
  return out;
}

function byteSum(seed: number, index: number): number {
  let x = Math.imul(index, 0x9e3779b9) + seed;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  x ^= x >>> 16;
  return (x & 255) + ((x >>> 8) & 255) + ((x >>> 16) & 255) + (x >>> 24);
}

/** The sum of four bytes, standardised to mean 0 and variance 1. */
function deviate(sum: number): number {
  return (sum - 510) / Math.sqrt((4 * (256 ** 2 - 1)) / 12);
}

function weight(name: string, shape: readonly number[], b: number): number {
  if (name === "logit_scale") return 4.7;
  if (name === "logit_bias") return -16.5;
  if (isNormWeight(name)) return 1 + 0.2 * b;
  if (name.endsWith("bias")) return 0.1 * b;
  if (/(token|position)_embedding\.weight$/.test(name)) return 0.5 * b;
  if (name.endsWith("probe")) return b;
  const gain = /[qk]_proj\./.test(name) ? 1.5 : /patch_embedding|out_proj|fc2/.test(name) ? 4 : 1;
  return (b * gain) / Math.sqrt(size(shape.slice(1)));
}

function isNormWeight(name: string): boolean {
  return /norm[12]?\.weight$/.test(name);
}

/** FNV-1a of an ASCII name, 32 bits. */
function fnv1a(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash;
}
