import { floatToHalf, halfToFloat } from "../../src/support/numbers.ts";
import type { Backend, Linear, RowChunk, Tensor, WeightDType } from "../../src/tensor/backend.ts";
import { GROUP } from "../../src/tensor/backend.ts";
import { quantise } from "../../src/tensor/quantise.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import * as reference from "../judge/reference.ts";
import { random } from "../judge/reference.ts";

/** One operation on one shape, for any backend: returns what came out, what should have, and the shape. */
export interface Case {
  name: string;
  /** Of attention: features of a head, and queries of an item. */
  attended?: { head: number; queries: number };
  run<T extends Tensor>(
    b: Backend<T>,
    dtype: WeightDType,
  ): Promise<{ actual: Float32Array; expected: Float64Array; shape: number[] }>;
}

async function* chunks(data: Float32Array, depth: number): AsyncGenerator<RowChunk> {
  // Uneven pieces, as they come from a file.
  const rows = data.length / depth;
  for (let row = 0; row < rows; row += 7) {
    const part = data.slice(row * depth, Math.min(rows, row + 7) * depth);
    yield { dtype: "F32", rows: part.length / depth, bytes: new Uint8Array(part.buffer) };
  }
}

/** Weights as they are stored: rounding them is no kernel's fault. */
function stored(weights: Float32Array, depth: number, dtype: WeightDType): Float32Array {
  if (dtype === "f32") return weights;
  if (dtype === "f16") return weights.map((value) => halfToFloat(floatToHalf(value)));
  const out = new Float32Array(weights.length);
  const row = new Float32Array(Math.ceil(depth / GROUP) * GROUP);
  for (let from = 0; from < weights.length; from += depth) {
    row.set(weights.subarray(from, from + depth));
    const { codes, scales } = quantise(row, dtype);
    for (let k = 0; k < depth; k++) out[from + k] = codes[k] * halfToFloat(scales[Math.floor(k / GROUP)]);
  }
  return out;
}

async function makeLinear<T extends Tensor>(b: Backend<T>, out: number, depth: number, dtype: WeightDType) {
  const weights = random(out * depth, out, 1 / Math.sqrt(depth));
  const bias = random(out, depth);
  const w: Linear<T> = {
    weight: await b.weight({ name: "w", out, in: depth, dtype }, chunks(weights, depth)),
    bias: b.tensor(bias, [out]),
  };
  return { w, stored: stored(weights, depth, dtype), bias };
}

/**
 * `x` as an operation leaves it on the backend: where activations are half precision, that is what kernels read. The values
 * are made halves beforehand, which the identity map does not change.
 */
async function activation<T extends Tensor>(b: Backend<T>, x: Float32Array, shape: number[]): Promise<() => T> {
  if (!(b instanceof WebGpuBackend) || b.activations === "f32") return () => b.tensor(x, shape);
  for (let i = 0; i < x.length; i++) x[i] = halfToFloat(floatToHalf(x[i]));
  const depth = shape.at(-1)!;
  const identity = Float32Array.from({ length: depth * depth }, (_, i) => (i % (depth + 1) === 0 ? 1 : 0));
  const weight = await b.weight({ name: "identity", out: depth, in: depth, dtype: "f16" }, chunks(identity, depth));
  const bias = b.tensor(new Float32Array(depth), [depth]);
  return () => b.linear(b.tensor(x, shape), { weight, bias });
}

export function linear(
  shape: number[],
  out: number,
  epilogue: { gelu?: boolean; add?: "full" | "item" } = {},
  scale = 1,
): Case {
  return {
    name: `linear [${shape}] to ${out} ${Object.entries(epilogue).join(" ")}${scale === 1 ? "" : ` times ${scale}`}`,
    async run(b, dtype) {
      const depth = shape.at(-1)!;
      const { w, stored: rounded, bias } = await makeLinear(b, out, depth, dtype);
      const x = random(
        shape.reduce((a, c) => a * c),
        3,
        scale,
      );
      const yShape = [...shape.slice(0, -1), out];
      const addShape = epilogue.add === "item" ? yShape.slice(1) : yShape;
      const add =
        epilogue.add &&
        random(
          addShape.reduce((a, c) => a * c),
          4,
        );
      const input = await activation(b, x, shape);
      const actual = await b.scope(() =>
        b.read(b.linear(input(), w, { gelu: epilogue.gelu, add: add && b.tensor(add, addShape) })),
      );
      return {
        actual,
        expected: reference.linear(x, rounded, bias, depth, { gelu: epilogue.gelu, add }),
        shape: yShape,
      };
    },
  };
}

function layerNorm(shape: number[], scale = 1, massive = 0): Case {
  return {
    name: `layerNorm [${shape}] times ${scale}${massive ? `, one feature ${massive}` : ""}`,
    async run(b) {
      const width = shape.at(-1)!;
      const x = random(
        shape.reduce((a, c) => a * c),
        5,
        scale,
      );
      if (massive) for (let i = Math.floor(width / 3); i < x.length; i += width) x[i] = massive;
      const [weight, bias] = [random(width, 6), random(width, 7)];
      const norm = { weight: b.tensor(weight, [width]), bias: b.tensor(bias, [width]), eps: 1e-6 };
      const actual = await b.scope(() => b.read(b.layerNorm(b.tensor(x, shape), norm)));
      return { actual, expected: reference.layerNorm(x, weight, bias, 1e-6), shape };
    },
  };
}

export function attention(
  batch: number,
  queries: number,
  keys: number,
  heads: number,
  head: number,
  scale = 1,
  whole = false,
): Case {
  const self = queries === keys;
  const numbers = (length: number, seed: number) => {
    const values = random(length, seed, scale);
    return whole ? values.map(Math.round) : values;
  };
  return {
    attended: { head, queries },
    name: `attention ${batch} x ${heads} heads of ${head}, ${queries} queries, ${keys} keys${scale === 1 ? "" : ` times ${scale}`}`,
    async run(b) {
      const width = heads * head;
      const q = numbers((self ? batch : 1) * queries * width * (self ? 3 : 1), 8);
      const kv = self ? q : numbers(batch * keys * width * 2, 9);
      const part = (data: Float32Array, tokens: number, parts: number, index: number) => ({
        data,
        tokens,
        stride: parts * width,
        offset: index * width,
      });
      const kvInput = await activation(b, kv, [batch, keys, (self ? 3 : 2) * width]);
      const qInput = self ? undefined : await activation(b, q, [1, queries, width]);
      const actual = await b.scope(() => {
        const kvTensor = kvInput();
        const qTensor = qInput ? qInput() : kvTensor;
        const view = (tensor: typeof kvTensor, index: number) => ({ tensor, offset: index * width, width });
        const first = self ? 1 : 0;
        return b.read(b.attention(view(qTensor, 0), view(kvTensor, first), view(kvTensor, first + 1), heads));
      });
      const [k, v] = self ? [part(q, keys, 3, 1), part(q, keys, 3, 2)] : [part(kv, keys, 2, 0), part(kv, keys, 2, 1)];
      const expected = reference.attention(part(q, queries, self ? 3 : 1, 0), k, v, width, heads);
      return { actual, expected, shape: [batch, queries, width] };
    },
  };
}

function patches(batch: number, channels: number, size: number, patch: number): Case {
  return {
    name: `patches of ${patch} of ${batch} x ${channels} x ${size} x ${size}`,
    async run(b) {
      const values = random(batch * channels * size * size, 5);
      const actual = await b.scope(() => b.read(b.patches(b.tensor(values, [batch, channels, size, size]), patch)));
      const expected = reference.patches(values, { batch, channels, size, patch });
      return { actual, expected, shape: [actual.length / (channels * patch * patch), channels * patch * patch] };
    },
  };
}

/** The padding a kernel leaves must not reach a sum: the operations one after another, on widths that are no multiple of 32. */
const chain: Case = {
  name: "layerNorm, linear, attention, linear and rows in a row on ragged widths",
  async run(b, dtype) {
    const [batch, tokens, heads, head, inner] = [2, 9, 3, 7, 45];
    const width = heads * head;
    const x = random(batch * tokens * width, 10);
    const [ones, zeros] = [new Float32Array(width).fill(1), new Float32Array(width)];
    const norm = { weight: b.tensor(ones, [width]), bias: b.tensor(zeros, [width]), eps: 1e-6 };
    const qkv = await makeLinear(b, 3 * width, width, dtype);
    const fc1 = await makeLinear(b, inner, width, dtype);
    const fc2 = await makeLinear(b, width, inner, dtype);
    const picked = [tokens - 1, 2 * tokens - 1];
    const actual = await b.scope(() => {
      const fused = b.linear(b.layerNorm(b.tensor(x, [batch, tokens, width]), norm), qkv.w);
      const view = (index: number) => ({ tensor: fused, offset: index * width, width });
      const attended = b.attention(view(0), view(1), view(2), heads);
      return b.read(b.rows(b.linear(b.linear(attended, fc1.w, { gelu: true }), fc2.w), picked));
    });
    const float = (values: Float64Array) => Float32Array.from(values);
    const fused = float(
      reference.linear(float(reference.layerNorm(x, ones, zeros, 1e-6)), qkv.stored, qkv.bias, width),
    );
    const view = (index: number) => ({ data: fused, tokens, stride: 3 * width, offset: index * width });
    const attended = float(reference.attention(view(0), view(1), view(2), width, heads));
    const hidden = float(reference.linear(attended, fc1.stored, fc1.bias, width, { gelu: true }));
    const all = reference.linear(hidden, fc2.stored, fc2.bias, inner);
    const expected = Float64Array.from(picked.flatMap((row) => [...all.subarray(row * width, (row + 1) * width)]));
    return { actual, expected, shape: [picked.length, width] };
  },
};

/**
 * Scores beyond 1e5, which no half holds: whole numbers, also once they are scaled by 1/4, which sums of float32 keep exactly;
 * of others a rounding would be as large as what softmax tells apart.
 */
export const vast = attention(1, 33, 33, 2, 16, 300, true);

/** Every operation on every kind of shape. */
export const cases: Case[] = [
  ...[1, 3, 63, 64, 65, 729, 730].map((rows) => linear([rows, 48], 40)),
  linear([1458, 160], 160),
  linear([1, 1], 1),
  linear([5, 101], 7),
  linear([65, 33], 129, { gelu: true }),
  linear([2, 33, 31], 65, { add: "full" }),
  linear([3, 25, 64], 80, { add: "item" }),
  linear([3, 25, 64], 80, { gelu: true, add: "item" }),
  // GELU's tanh far outside of where drivers define it, and activations that overflow half precision when squared.
  linear([9, 64], 64, { gelu: true }, 30),
  linear([9, 64], 64, { gelu: true }, 1000),
  patches(1, 3, 64, 16),
  patches(2, 3, 33, 14),
  patches(3, 1, 5, 2),
  patches(1, 2, 7, 7),
  layerNorm([1, 1]),
  layerNorm([3, 7]),
  layerNorm([2, 65, 144]),
  layerNorm([33, 1152]),
  layerNorm([9, 144], 1, 300),
  layerNorm([9, 144], 70000),
  layerNorm([9, 144], 1e-4),
  attention(1, 1, 1, 1, 1),
  attention(2, 64, 64, 2, 72),
  attention(1, 65, 65, 1, 64),
  attention(2, 33, 33, 2, 96),
  attention(1, 7, 7, 5, 16),
  attention(2, 19, 19, 3, 7),
  attention(1, 17, 17, 1, 160),
  attention(1, 5, 5, 1, 300),
  attention(1, 730, 730, 1, 8),
  attention(3, 1, 1024, 2, 72),
  attention(2, 2, 65, 2, 64),
  // Scores of some thousands: softmax without its maximum taken off would be infinite.
  attention(1, 33, 33, 2, 16, 50),
  vast,
  chain,
];

/** Every way to store weights. */
export const WEIGHTS = ["f32", "f16", "q8", "q4"] as const;

/**
 * Bounds on the normalised mean squared error, against the weights as they are stored. The reference's sums are float64 and
 * rounded once, so its error is that of one rounding per operation (2^-24 squared, 3.6e-15), of three in the chain. Float32
 * sums over K stay below 1e-10. Activations of half precision (2^-11 at most a value, 1e-7 squared) below 1e-6.
 */
export const GATE = { cpu: 1e-13, f32: 1e-10, f16: 1e-6 };

const NAN = new Float32Array(2 ** 20).fill(Number.NaN);

/** Fills the buffers that the next operations will be given with NaN, padding included. */
export function poison(b: WebGpuBackend): void {
  b.scope(() => {
    for (const width of [32, 64, 128, 1024, 8192, 65536, 262144, NAN.length]) {
      for (let copy = 0; copy < 3; copy++) b.tensor(NAN.subarray(0, width), [1, width]);
    }
  });
}
