import { floatToHalf, halfToFloat } from "../../src/support/numbers.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import type { RowChunk } from "../../src/tensor/packing.ts";
import {
  type Linear,
  Recorder,
  storedAs,
  type Value,
  type Weight,
  type WeightDType,
} from "../../src/tensor/program.ts";
import { quantise } from "../../src/tensor/quantise.ts";
import { GROUP, type Shape, size } from "../../src/tensor/shape.ts";
import * as reference from "../judge/reference.ts";
import { random } from "../judge/reference.ts";

/** One operation on one shape, for any backend: returns what came out, what should have, and the shape. */
export interface Case {
  name: string;
  /** Of attention: features of a head, and queries of an item. */
  attended?: { head: number; queries: number };
  run(b: Backend, dtype: WeightDType): Promise<{ actual: Float32Array; expected: Float64Array; shape: number[] }>;
}

/** A small program for one backend, with its weights and inputs. */
export class Sketch {
  readonly p = new Recorder();
  private readonly backend: Backend;
  private readonly inputs: Record<string, Float32Array> = {};
  private weights = 0;

  constructor(backend: Backend) {
    this.backend = backend;
  }

  /** A float32 input. */
  input(data: Float32Array, shape: Shape): Value {
    const name = `input ${Object.keys(this.inputs).length}`;
    this.inputs[name] = data;
    return this.p.input(name, shape);
  }

  /**
   * `x` as an operation leaves it on the backend: where activations are half precision, that is what kernels read. The values
   * are made halves beforehand, which the identity map does not change.
   */
  async activation(x: Float32Array, shape: Shape): Promise<Value> {
    if (!("activations" in this.backend) || this.backend.activations === "f32") return this.input(x, shape);
    for (let i = 0; i < x.length; i++) x[i] = halfToFloat(floatToHalf(x[i]));
    const depth = shape.at(-1)!;
    const identity = Float32Array.from({ length: depth * depth }, (_, i) => (i % (depth + 1) === 0 ? 1 : 0));
    const weight = await this.matrix(identity, depth, depth, "f16");
    return this.p.linear(this.input(x, shape), { weight, bias: this.constant(new Float32Array(depth), [depth]) });
  }

  constant(data: Float32Array, shape: Shape): Weight {
    const weight = { name: `w${this.weights++}`, shape, dtype: "f32" } as const;
    this.backend.constant(weight, data);
    return weight;
  }

  async matrix(data: Float32Array, out: number, depth: number, dtype: WeightDType): Promise<Weight> {
    const weight = { name: `w${this.weights++}`, shape: [out, depth], dtype };
    await this.backend.weight(weight, chunks(data, depth));
    return weight;
  }

  /** A linear map of random weights, and what of them the backend stores. */
  async linear(out: number, depth: number, dtype: WeightDType) {
    const weights = random(out * depth, out, 1 / Math.sqrt(depth));
    const bias = random(out, depth);
    const w: Linear = {
      weight: await this.matrix(weights, out, depth, dtype),
      bias: this.constant(bias, [out]),
    };
    return { w, stored: stored(weights, depth, dtype), bias };
  }

  /** Runs the program and gives one value of it. */
  async run(y: Value): Promise<Float32Array> {
    this.p.output("y", y);
    await this.backend.loaded();
    return (await this.backend.run(this.p.finish(), this.inputs)).y;
  }
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
    const { codes, scales } = quantise(row, storedAs(dtype) as "q8" | "q4");
    for (let k = 0; k < depth; k++) out[from + k] = codes[k] * halfToFloat(scales[Math.floor(k / GROUP)]);
  }
  return out;
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
      const sketch = new Sketch(b);
      const { w, stored: rounded, bias } = await sketch.linear(out, depth, dtype);
      const x = random(size(shape), 3, scale);
      const yShape = [...shape.slice(0, -1), out];
      const addShape = epilogue.add === "item" ? yShape.slice(1) : yShape;
      const add = epilogue.add && random(size(addShape), 4);
      const input = await sketch.activation(x, shape);
      const addend = add && sketch.input(add, addShape);
      const actual = await sketch.run(sketch.p.linear(input, w, { gelu: epilogue.gelu, add: addend }));
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
      const x = random(size(shape), 5, scale);
      if (massive) for (let i = Math.floor(width / 3); i < x.length; i += width) x[i] = massive;
      const [weight, bias] = [random(width, 6), random(width, 7)];
      const sketch = new Sketch(b);
      const norm = { weight: sketch.constant(weight, [width]), bias: sketch.constant(bias, [width]), eps: 1e-6 };
      const actual = await sketch.run(sketch.p.layerNorm(sketch.input(x, shape), norm));
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
  lengths?: readonly number[],
): Case {
  const self = queries === keys;
  const numbers = (length: number, seed: number) => {
    const values = random(length, seed, scale);
    return whole ? values.map(Math.round) : values;
  };
  return {
    attended: { head, queries },
    name: `attention ${batch} x ${heads} heads of ${head}, ${queries} queries, ${keys} keys${scale === 1 ? "" : ` times ${scale}`}${lengths ? ` of which ${lengths} count` : ""}`,
    async run(b) {
      const width = heads * head;
      const q = numbers((self ? batch : 1) * queries * width * (self ? 3 : 1), 8);
      const kv = self ? q : numbers(batch * keys * width * 2, 9);
      // What is not attended may be anything; of a self-attention it asks as well.
      for (const [item, length] of (self ? [] : (lengths ?? [])).entries()) {
        kv.fill(Number.NaN, (item * keys + length) * 2 * width, (item + 1) * keys * 2 * width);
      }
      const part = (data: Float32Array, tokens: number, parts: number, index: number) => ({
        data,
        tokens,
        stride: parts * width,
        offset: index * width,
      });
      const sketch = new Sketch(b);
      const kvValue = await sketch.activation(kv, [batch, keys, (self ? 3 : 2) * width]);
      const qValue = self ? kvValue : await sketch.activation(q, [1, queries, width]);
      const view = (value: Value, index: number) => ({ value, offset: index * width, width });
      const first = self ? 1 : 0;
      const counts = lengths && sketch.input(Float32Array.from(lengths), [batch]);
      const actual = await sketch.run(
        sketch.p.attention(view(qValue, 0), view(kvValue, first), view(kvValue, first + 1), heads, counts),
      );
      const [k, v] = self ? [part(q, keys, 3, 1), part(q, keys, 3, 2)] : [part(kv, keys, 2, 0), part(kv, keys, 2, 1)];
      const expected = reference.attention(part(q, queries, self ? 3 : 1, 0), k, v, width, heads, lengths);
      return { actual, expected, shape: [batch, queries, width] };
    },
  };
}

/**
 * Items of which fewer keys are attended: all, one, and some that fill no step and no vector; of a self-attention and
 * of one query.
 */
export function masked(head: number): Case[] {
  const lengths = [37, 1, 18];
  return [37, 1].map((queries) => attention(3, queries, 37, 2, head, 1, false, lengths));
}

/** The padding a kernel leaves must not reach a sum: the operations one after another, on widths that are no multiple of 32. */
const chain: Case = {
  name: "layerNorm, linear, attention, linear and rows in a row on ragged widths",
  async run(b, dtype) {
    const [batch, tokens, heads, head, inner] = [2, 9, 3, 7, 45];
    const width = heads * head;
    const x = random(batch * tokens * width, 10);
    const [ones, zeros] = [new Float32Array(width).fill(1), new Float32Array(width)];
    const sketch = new Sketch(b);
    const { p } = sketch;
    const norm = { weight: sketch.constant(ones, [width]), bias: sketch.constant(zeros, [width]), eps: 1e-6 };
    const qkv = await sketch.linear(3 * width, width, dtype);
    const fc1 = await sketch.linear(inner, width, dtype);
    const fc2 = await sketch.linear(width, inner, dtype);
    const picked = [tokens - 1, 2 * tokens - 1];
    const mixed = p.linear(p.layerNorm(sketch.input(x, [batch, tokens, width]), norm), qkv.w);
    const part = (index: number) => ({ value: mixed, offset: index * width, width });
    const answer = p.attention(part(0), part(1), part(2), heads);
    const actual = await sketch.run(p.rows(p.linear(p.linear(answer, fc1.w, { gelu: true }), fc2.w), picked));
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
  attention(1, 5, 5, 1, 300),
  attention(1, 730, 730, 1, 8),
  attention(3, 1, 1024, 2, 72),
  attention(2, 2, 65, 2, 64),
  // Scores of some thousands: softmax without its maximum taken off would be infinite.
  attention(1, 33, 33, 2, 16, 50),
  ...masked(40),
  vast,
  chain,
];

/** Every way to store weights. */
export const WEIGHTS = ["f32", "f16", "q8", "q4"] as const;

const NAN = new Float32Array(2 ** 21).fill(Number.NaN);

/** Fills the buffers that the next programs will be given with NaN, padding included: six of so many values each. */
export async function poison(b: Backend, values = 2 ** 18): Promise<void> {
  const p = new Recorder();
  const names = ["a", "b", "c", "d", "e", "f"];
  for (const name of names) p.output(name, p.input(name, [1, values]));
  const program = p.finish();
  await b.run(program, Object.fromEntries(names.map((name) => [name, NAN.subarray(0, values)])));
}
