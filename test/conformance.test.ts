import { describe } from "vitest";
import { floatToHalf, halfToFloat } from "../src/numbers.ts";
import type { Backend, Linear, RowChunk, Tensor, WeightDType } from "../src/tensor/backend.ts";
import { CpuBackend } from "../src/tensor/cpu.ts";
import { WebGpuBackend } from "../src/tensor/webgpu/backend.ts";
import { onGpu, tallied } from "./cases.ts";
import { compare } from "./compare.ts";
import * as reference from "./reference.ts";
import { random } from "./reference.ts";

/** One operation on one shape, for any backend: returns what came out, what should have, and the shape. */
interface Case {
  name: string;
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

async function makeLinear<T extends Tensor>(b: Backend<T>, out: number, depth: number, dtype: WeightDType) {
  const weights = random(out * depth, out, 1 / Math.sqrt(depth));
  const bias = random(out, depth);
  const w: Linear<T> = {
    weight: await b.weight({ name: "w", out, in: depth, dtype }, chunks(weights, depth)),
    bias: b.tensor(bias, [out]),
  };
  // Kernels are held against the weights as they are stored: rounding them is no kernel's fault.
  const stored = dtype === "f16" ? weights.map((value) => halfToFloat(floatToHalf(value))) : weights;
  return { w, stored, bias };
}

function linear(
  shape: number[],
  out: number,
  epilogue: { gelu?: boolean; add?: "full" | "item" } = {},
  scale = 1,
): Case {
  return {
    name: `linear [${shape}] to ${out} ${Object.entries(epilogue).join(" ")}${scale === 1 ? "" : ` times ${scale}`}`,
    async run(b, dtype) {
      const depth = shape.at(-1)!;
      const { w, stored, bias } = await makeLinear(b, out, depth, dtype);
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
      const actual = await b.scope(() =>
        b.read(b.linear(b.tensor(x, shape), w, { gelu: epilogue.gelu, add: add && b.tensor(add, addShape) })),
      );
      return {
        actual,
        expected: reference.linear(x, stored, bias, depth, { gelu: epilogue.gelu, add }),
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

function attention(batch: number, queries: number, keys: number, heads: number, head: number, scale = 1): Case {
  const self = queries === keys;
  return {
    name: `attention ${batch} x ${heads} heads of ${head}, ${queries} queries, ${keys} keys${scale === 1 ? "" : ` times ${scale}`}`,
    async run(b) {
      const width = heads * head;
      const q = random((self ? batch : 1) * queries * width * (self ? 3 : 1), 8, scale);
      const kv = self ? q : random(batch * keys * width * 2, 9, scale);
      const part = (data: Float32Array, tokens: number, parts: number, index: number) => ({
        data,
        tokens,
        stride: parts * width,
        offset: index * width,
      });
      const actual = await b.scope(() => {
        const kvTensor = b.tensor(kv, [batch, keys, (self ? 3 : 2) * width]);
        const qTensor = self ? kvTensor : b.tensor(q, [1, queries, width]);
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

const cases: Case[] = [
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
  attention(1, 17, 17, 1, 160),
  attention(1, 5, 5, 1, 300),
  attention(1, 730, 730, 1, 8),
  attention(3, 1, 1024, 2, 72),
  attention(2, 2, 65, 2, 64),
  // Scores of some thousands: softmax without its maximum taken off would be infinite.
  attention(1, 33, 33, 2, 16, 50),
  chain,
];

/**
 * Bounds on the normalised mean squared error. The reference's sums are float64 and rounded once, so its error is that of
 * one rounding per operation (2^-24 squared, 3.6e-15), of three in the chain. Float32 sums over K stay below 1e-10.
 */
const GATE = { cpu: 1e-13, webgpu: 1e-10 };

describe("cpu", () => {
  const b = new CpuBackend();
  for (const dtype of ["f32", "f16"] as const) {
    for (const one of cases) {
      tallied(`${one.name} (${dtype} weights)`, { backend: "cpu", precision: dtype }, async () => {
        const { actual, expected, shape } = await one.run(b, dtype);
        compare(actual, expected, { shape, label: `cpu ${one.name}`, gate: GATE.cpu });
      });
    }
  }
});

describe("webgpu", () => {
  let b: WebGpuBackend | undefined;
  for (const dtype of ["f32", "f16"] as const) {
    for (const one of cases) {
      onGpu(`${one.name} (${dtype} weights)`, { precision: dtype }, async ({ device }) => {
        b ??= new WebGpuBackend(device);
        poison(b);
        const { actual, expected, shape } = await one.run(b, dtype);
        compare(actual, expected, { shape, label: `webgpu ${one.name}`, gate: GATE.webgpu });
      });
    }
  }
});

/** Fills the buffers that the next operations will be given with NaN, padding included. */
function poison(b: WebGpuBackend): void {
  b.scope(() => {
    for (const width of [32, 64, 128, 1024, 8192, 65536, 262144]) {
      for (let copy = 0; copy < 3; copy++) b.tensor(new Float32Array(width).fill(Number.NaN), [1, width]);
    }
  });
}
