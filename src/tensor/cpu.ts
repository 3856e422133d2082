import { SiglipError } from "../support/error.ts";
import { toFloat32 } from "../support/numbers.ts";
import {
  attentionShape,
  type Backend,
  checkChunk,
  checkData,
  checkNorm,
  checkRows,
  type Epilogue,
  type Linear,
  linearShape,
  type Norm,
  patchesShape,
  type RowChunk,
  rowCount,
  type Shape,
  size,
  type Tensor,
  type View,
  type WeightSpec,
} from "./backend.ts";
import { packRows, unpackRows } from "./quantise.ts";

/** A row-major float32 array; empty until the recorded work that fills it has run. */
export class CpuTensor implements Tensor {
  readonly shape: Shape;
  data: Float32Array;

  constructor(shape: Shape, data: Float32Array = new Float32Array()) {
    this.shape = shape;
    this.data = data;
  }
}

/** How long recorded work runs before the event loop gets a turn, in milliseconds. */
const TURN = 30;

/** Multiply-adds of one recorded step of a linear map: some ten milliseconds. */
const STEP = 2 ** 24;

/**
 * The reference: plain loops, every sum accumulated in float64 and rounded to float32 once. It shares no arithmetic with
 * the backends it judges. Work is recorded and runs when something is read, giving way to the event loop between operations.
 */
export class CpuBackend implements Backend<CpuTensor> {
  readonly name = "cpu";
  readonly lost = false;
  /** Bounded by what a typed array may reasonably take (1 GiB). */
  readonly maxElements = 2 ** 28;
  private held = 0;
  private disposed = false;
  private work: (() => void)[] = [];
  private running: Promise<void> = Promise.resolve();

  get bytes(): number {
    return this.held;
  }

  async weight(spec: WeightSpec, chunks: AsyncIterable<RowChunk>): Promise<CpuTensor> {
    const data = new Float32Array(spec.out * spec.in);
    let filled = 0;
    for await (const chunk of chunks) {
      checkChunk(spec, chunk);
      const rows = stored(chunk, spec);
      if (filled + rows.length > data.length) break;
      data.set(rows, filled);
      filled += rows.length;
    }
    if (filled !== data.length) {
      throw new SiglipError(
        `${spec.name}: wanted ${data.length} weights, found ${filled}; fetch the checkpoint again.`,
      );
    }
    this.held += data.byteLength;
    return new CpuTensor([spec.out, spec.in], data);
  }

  async settle(): Promise<void> {}

  tensor(data: Float32Array, shape: Shape): CpuTensor {
    checkData(data, shape);
    return new CpuTensor(shape, data);
  }

  linear(x: CpuTensor, w: Linear<CpuTensor>, epilogue: Epilogue<CpuTensor> = {}): CpuTensor {
    const y = new CpuTensor(linearShape(x.shape, w, epilogue));
    const [out, depth] = w.weight.shape;
    const rows = rowCount(x.shape);
    let wide = new Float64Array();
    this.record(() => {
      y.data = new Float32Array(size(y.shape));
      wide = new Float64Array(x.data);
    });
    const columns = 4 * Math.max(1, Math.floor(STEP / (4 * rows * depth)));
    for (let from = 0; from < out; from += columns) {
      const to = Math.min(out, from + columns);
      this.record(() => multiply(wide, w.weight.data, w.bias.data, y.data, { rows, depth, out, from, to }));
    }
    this.record(() => {
      if (epilogue.gelu) for (let i = 0; i < y.data.length; i++) y.data[i] = gelu(y.data[i]);
      const add = epilogue.add?.data;
      if (add) for (let i = 0; i < y.data.length; i++) y.data[i] += add[i % add.length];
    });
    return y;
  }

  layerNorm(x: CpuTensor, w: Norm<CpuTensor>): CpuTensor {
    checkNorm(x.shape, w);
    const y = new CpuTensor(x.shape);
    this.record(() => {
      const width = x.shape.at(-1)!;
      y.data = new Float32Array(x.data.length);
      for (let base = 0; base < x.data.length; base += width) {
        let sum = 0;
        for (let d = 0; d < width; d++) sum += x.data[base + d];
        const mean = sum / width;
        let squares = 0;
        for (let d = 0; d < width; d++) squares += (x.data[base + d] - mean) ** 2;
        const scale = 1 / Math.sqrt(squares / width + w.eps);
        for (let d = 0; d < width; d++) {
          y.data[base + d] = (x.data[base + d] - mean) * scale * w.weight.data[d] + w.bias.data[d];
        }
      }
    });
    return y;
  }

  attention(q: View<CpuTensor>, k: View<CpuTensor>, v: View<CpuTensor>, heads: number): CpuTensor {
    const { batch, queries, keys, width, head } = attentionShape(q, k, v, heads);
    const y = new CpuTensor([batch, queries, width]);
    this.record(() => {
      y.data = new Float32Array(size(y.shape));
      const scores = new Float64Array(keys);
      const sums = new Float64Array(head);
      for (let b = 0; b < batch; b++) {
        for (let h = 0; h < heads; h++) {
          for (let i = 0; i < queries; i++) {
            const query = at(q, q.tensor.shape[0] === 1 ? 0 : b, i, h * head);
            let top = Number.NEGATIVE_INFINITY;
            for (let j = 0; j < keys; j++) {
              const key = at(k, b, j, h * head);
              let dot = 0;
              for (let d = 0; d < head; d++) dot += q.tensor.data[query + d] * k.tensor.data[key + d];
              scores[j] = dot / Math.sqrt(head);
              top = Math.max(top, scores[j]);
            }
            let total = 0;
            sums.fill(0);
            for (let j = 0; j < keys; j++) {
              const p = Math.exp(scores[j] - top);
              const value = at(v, b, j, h * head);
              total += p;
              for (let d = 0; d < head; d++) sums[d] += p * v.tensor.data[value + d];
            }
            const out = (b * queries + i) * width + h * head;
            for (let d = 0; d < head; d++) y.data[out + d] = sums[d] / total;
          }
        }
      }
    });
    return y;
  }

  rows(x: CpuTensor, indices: readonly number[]): CpuTensor {
    checkRows(x.shape, indices);
    const width = x.shape.at(-1)!;
    const y = new CpuTensor([indices.length, width]);
    this.record(() => {
      y.data = new Float32Array(size(y.shape));
      for (const [row, index] of indices.entries()) {
        y.data.set(x.data.subarray(index * width, (index + 1) * width), row * width);
      }
    });
    return y;
  }

  patches(x: CpuTensor, patch: number): CpuTensor {
    const y = new CpuTensor(patchesShape(x.shape, patch));
    const [batch, channels, side] = x.shape;
    const grid = Math.floor(side / patch);
    this.record(() => {
      y.data = new Float32Array(size(y.shape));
      let to = 0;
      for (let b = 0; b < batch; b++) {
        for (let cell = 0; cell < grid * grid; cell++) {
          const corner = Math.floor(cell / grid) * patch * side + (cell % grid) * patch;
          for (let c = 0; c < channels; c++) {
            for (let row = 0; row < patch; row++, to += patch) {
              const from = ((b * channels + c) * side + row) * side + corner;
              y.data.set(x.data.subarray(from, from + patch), to);
            }
          }
        }
      }
    });
    return y;
  }

  scope<R>(body: () => R): R {
    return body();
  }

  async read(x: CpuTensor, signal?: AbortSignal): Promise<Float32Array> {
    const work = this.work;
    this.work = [];
    const done = this.running.then(() => this.run(work, signal));
    this.running = done.catch(() => {});
    await done;
    return x.data.slice();
  }

  dispose(): void {
    this.disposed = true;
    this.work = [];
    this.held = 0;
  }

  private record(step: () => void): void {
    this.check();
    this.work.push(step);
  }

  private check(): void {
    if (this.disposed) {
      throw new SiglipError("A result was wanted but the cpu backend has been disposed; load the model again.");
    }
  }

  private async run(work: (() => void)[], signal?: AbortSignal): Promise<void> {
    let started = performance.now();
    // Taken off the list as they run: a step holds on to the tensors it reads.
    work.reverse();
    for (let step = work.pop(); step; step = work.pop()) {
      this.check();
      signal?.throwIfAborted();
      step();
      if (performance.now() - started > TURN) {
        await new Promise((resolve) => setTimeout(resolve));
        started = performance.now();
      }
    }
    this.check();
  }
}

/** The element at which a view's row begins, plus `column`. */
function at(view: View<CpuTensor>, batch: number, token: number, column: number): number {
  const [, tokens, stride] = view.tensor.shape;
  return (batch * tokens + token) * stride + view.offset + column;
}

/** GELU, tanh form [Hendrycks and Gimpel 2016]: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`. */
function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/**
 * Outputs `from` to `to` of `x wᵀ + bias`: x [rows, depth], w and bias whole, y [rows, out]. Two rows by four outputs at a
 * time keeps eight sums in registers, which makes the full-size tower minutes instead of an hour; each runs over k in order.
 */
function multiply(
  x: Float64Array,
  w: Float32Array,
  bias: Float32Array,
  y: Float32Array,
  { rows, depth, out, from, to }: { rows: number; depth: number; out: number; from: number; to: number },
): void {
  const block = new Float64Array(4 * depth);
  for (let o = from; o < to; o += 4) {
    const columns = Math.min(4, to - o);
    block.set(w.subarray(o * depth, (o + columns) * depth));
    for (let r = 0; r < rows; r += 2) {
      const a = r * depth;
      const b = Math.min(r + 1, rows - 1) * depth;
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
        if (r + 1 < rows) y[(r + 1) * out + o + c] = sums[4 + c] + bias[o + c];
      }
    }
  }
}

/** The weights of a chunk, rounded to what a device would store. */
function stored(chunk: RowChunk, { name, dtype, in: depth }: WeightSpec): Float32Array {
  if (chunk.scales) return unpackRows(chunk, depth);
  const values = toFloat32(chunk.bytes, chunk.dtype);
  if (dtype === "f32") return values;
  const packed = packRows(values, depth, dtype, name);
  return packed.scales ? unpackRows(packed, depth) : toFloat32(packed.bytes, packed.dtype);
}
