import { toFloat32 } from "../support/numbers.ts";
import { Backend, checkConstant, type Inputs, type Outputs } from "./backend.ts";
import type { Open } from "./open.ts";
import { checkChunk, cutRows, type RowChunk, type WeightSpec, wrongRows } from "./packing.ts";
import {
  type AttentionOperation,
  attentionSizes,
  type LayerNormOperation,
  type LinearOperation,
  type Operation,
  operandsOf,
  type Program,
  type RowsOperation,
  storedAs,
  type Weight,
} from "./program.ts";
import { packRows, unpackRows } from "./quantise.ts";
import { padded, rowCount, size } from "./shape.ts";

/** Multiply-adds between two looks at the clock: some ten milliseconds. */
const STEP = 2 ** 24;

/**
 * The reference: plain loops, every sum accumulated in float64 and rounded to float32 once. It shares no arithmetic with
 * the backends it judges.
 */
export class CpuBackend extends Backend {
  readonly name = "cpu";
  readonly defaults = { dtype: "f32", images: 1, texts: 1 } as const;
  readonly dtypes = ["f32", "f16", "q8", "q4"] as const;
  readonly lost = false;
  /** Bounded by what a typed array may reasonably take (1 GiB). */
  readonly maxElements = 2 ** 28;
  private readonly weights = new Map<string, Float32Array>();

  get bytes(): number {
    return [...this.weights.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  async weight(spec: WeightSpec, rows: AsyncIterable<RowChunk>): Promise<void> {
    const [out, depth] = spec.shape;
    const data = new Float32Array(out * depth);
    let filled = 0;
    for await (const chunk of rows) {
      this.check();
      checkChunk(spec, chunk);
      if (filled + chunk.rows <= out) data.set(stored(chunk, spec), filled * depth);
      filled += chunk.rows;
    }
    if (filled !== out) throw wrongRows(spec, filled);
    this.weights.set(spec.name, data);
  }

  constant(weight: Weight, data: Float32Array): void {
    this.check();
    checkConstant(weight, data);
    this.weights.set(weight.name, data);
  }

  async loaded(): Promise<void> {}

  protected async execute(program: Program, inputs: Inputs, signal?: AbortSignal): Promise<Outputs> {
    const { values, operations, outputs } = program;
    const data: (Float32Array | undefined)[] = values.map(({ input, weight, shape }) => {
      if (weight) return this.at(weight);
      return input === undefined ? undefined : unpadded(inputs[input], shape);
    });
    const read = (id: number) => data[id]!;
    for (const [index, operation] of operations.entries()) {
      const y = new Float32Array(size(values[operation.y].shape));
      for (const _ of this.perform(program, operation, read, y)) await this.pause(signal);
      await this.pause(signal);
      data[operation.y] = y;
      for (const id of [...operandsOf(operation), operation.y]) if (values[id].last <= index) data[id] = undefined;
    }
    return Object.fromEntries(outputs.map(({ name, value }) => [name, read(value)]));
  }

  protected free(): void {
    this.weights.clear();
  }

  /** Fills y. Yields now and then, where the event loop may have a turn. */
  private perform(program: Program, operation: Operation, read: Read, y: Float32Array): Iterable<void> {
    switch (operation.kind) {
      case "linear":
        return this.linear(program, operation, read, y);
      case "layerNorm":
        return this.layerNorm(program, operation, read, y);
      case "attention":
        return attention(program, operation, read, y);
      case "rows":
        rows(program, operation, read, y);
        return [];
    }
  }

  private *linear(program: Program, operation: LinearOperation, read: Read, y: Float32Array): Iterable<void> {
    const [out, depth] = operation.weight.shape;
    const count = rowCount(program.values[operation.x].shape);
    const [weight, bias] = [this.at(operation.weight), this.at(operation.bias)];
    const x = new Float64Array(read(operation.x));
    const add = operation.add === undefined ? undefined : read(operation.add);
    // Of a block of outputs, which is what is done between two turns of the event loop.
    const height = Math.min(count, 2 * Math.max(1, Math.floor(STEP / (8 * depth))));
    const columns = 4 * Math.max(1, Math.floor(STEP / (4 * height * depth)));
    for (let top = 0; top < count; top += height) {
      for (let from = 0; from < out; from += columns) {
        const block = { top, end: Math.min(count, top + height), from, to: Math.min(out, from + columns) };
        multiply(x, weight, bias, y, { depth, out, ...block });
        for (let r = block.top; r < block.end; r++) {
          for (let i = r * out + block.from; i < r * out + block.to; i++) {
            if (operation.gelu) y[i] = gelu(y[i]);
            if (add) y[i] += add[i % add.length];
          }
        }
        yield;
      }
    }
  }

  private *layerNorm(program: Program, operation: LayerNormOperation, read: Read, y: Float32Array): Iterable<void> {
    const width = program.values[operation.x].shape.at(-1)!;
    const x = read(operation.x);
    const [weight, bias] = [this.at(operation.weight), this.at(operation.bias)];
    for (let base = 0; base < x.length; base += width) {
      let sum = 0;
      for (let d = 0; d < width; d++) sum += x[base + d];
      const mean = sum / width;
      let squares = 0;
      for (let d = 0; d < width; d++) squares += (x[base + d] - mean) ** 2;
      const scale = 1 / Math.sqrt(squares / width + operation.eps);
      for (let d = 0; d < width; d++) y[base + d] = (x[base + d] - mean) * scale * weight[d] + bias[d];
      if (base % (STEP / 8) < width) yield;
    }
  }

  private at({ name }: Weight): Float32Array {
    return this.weights.get(name)!;
  }
}

/** The reference is ready everywhere. */
export const open: Open = async () => {
  const backend = new CpuBackend();
  return { backend, adapter: undefined, close: () => backend.dispose() };
};

type Read = (value: number) => Float32Array;

function* attention(program: Program, operation: AttentionOperation, read: Read, y: Float32Array): Iterable<void> {
  const { batch, queries, keys, head, shared } = attentionSizes(program, operation);
  const { heads, width } = operation;
  const [q, k, v] = ([operation.q, operation.k, operation.v] as const).map((id, index) => ({
    data: read(id),
    offset: operation.offsets[index],
    stride: program.values[id].shape[2],
  }));
  const scores = new Float64Array(keys);
  const lengths = operation.lengths === undefined ? undefined : read(operation.lengths);
  const sums = new Float64Array(head);
  let work = 0;
  for (let b = 0; b < batch; b++) {
    const length = lengths?.[b] ?? keys;
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < queries; i++) {
        const query = ((shared ? 0 : b) * queries + i) * q.stride + q.offset + h * head;
        let top = Number.NEGATIVE_INFINITY;
        for (let j = 0; j < length; j++) {
          const key = (b * keys + j) * k.stride + k.offset + h * head;
          let dot = 0;
          for (let d = 0; d < head; d++) dot += q.data[query + d] * k.data[key + d];
          scores[j] = dot / Math.sqrt(head);
          top = Math.max(top, scores[j]);
        }
        let total = 0;
        sums.fill(0);
        for (let j = 0; j < length; j++) {
          const p = Math.exp(scores[j] - top);
          const value = (b * keys + j) * v.stride + v.offset + h * head;
          total += p;
          for (let d = 0; d < head; d++) sums[d] += p * v.data[value + d];
        }
        const out = (b * queries + i) * width + h * head;
        for (let d = 0; d < head; d++) y[out + d] = sums[d] / total;
        work += 2 * keys * head;
        if (work < STEP) continue;
        work = 0;
        yield;
      }
    }
  }
}

function rows(program: Program, operation: RowsOperation, read: Read, y: Float32Array): void {
  const width = program.values[operation.x].shape.at(-1)!;
  const x = read(operation.x);
  for (const [row, index] of operation.rows.entries()) {
    y.set(x.subarray(index * width, (index + 1) * width), row * width);
  }
}

/** An input without the padding that its rows may have. */
function unpadded(data: Float32Array, shape: readonly number[]): Float32Array {
  return data.length === size(shape) ? data : cutRows(data, padded(shape.at(-1)!), shape.at(-1)!);
}

/** GELU, tanh form [Hendrycks and Gimpel 2016]: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`. */
function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/**
 * Outputs `from` to `to` of the rows `top` to `end` of `x wᵀ + bias`: x [rows, depth], w and bias whole, y [rows, out]. Two
 * rows by four outputs at a time keeps eight sums in registers, which makes the full-size tower minutes instead of an hour;
 * each runs over k in order.
 */
function multiply(
  x: Float64Array,
  w: Float32Array,
  bias: Float32Array,
  y: Float32Array,
  { depth, out, top, end, from, to }: Readonly<Record<"depth" | "out" | "top" | "end" | "from" | "to", number>>,
): void {
  const block = new Float64Array(4 * depth);
  for (let o = from; o < to; o += 4) {
    const columns = Math.min(4, to - o);
    block.set(w.subarray(o * depth, (o + columns) * depth));
    for (let r = top; r < end; r += 2) {
      const a = r * depth;
      const b = Math.min(r + 1, end - 1) * depth;
      let a0 = 0;
      let a1 = 0;
      let a2 = 0;
      let a3 = 0;
      let b0 = 0;
      let b1 = 0;
      let b2 = 0;
      let b3 = 0;
      for (let k = 0; k < depth; k++) {
        const xa = x[a + k];
        const xb = x[b + k];
        const w0 = block[k];
        const w1 = block[depth + k];
        const w2 = block[2 * depth + k];
        const w3 = block[3 * depth + k];
        a0 += xa * w0;
        a1 += xa * w1;
        a2 += xa * w2;
        a3 += xa * w3;
        b0 += xb * w0;
        b1 += xb * w1;
        b2 += xb * w2;
        b3 += xb * w3;
      }
      const sums = [a0, a1, a2, a3, b0, b1, b2, b3];
      for (let c = 0; c < columns; c++) {
        y[r * out + o + c] = sums[c] + bias[o + c];
        if (r + 1 < end) y[(r + 1) * out + o + c] = sums[4 + c] + bias[o + c];
      }
    }
  }
}

/** The weights of a chunk, rounded to what a device would store. */
function stored(chunk: RowChunk, { name, dtype, shape }: WeightSpec): Float32Array {
  const depth = shape[1];
  if (chunk.scales) return unpackRows(chunk, depth);
  const values = toFloat32(chunk.bytes, chunk.dtype);
  const as = storedAs(dtype);
  if (as === "f32") return values;
  const packed = packRows(values, depth, as, name);
  return packed.scales ? unpackRows(packed, depth) : toFloat32(packed.bytes, packed.dtype);
}
