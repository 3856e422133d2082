import { SiglipError } from "../support/error.ts";

/** A shape, outermost axis first. */
export type Shape = readonly number[];

/** How a weight matrix is stored on the device. Norms, biases, positions and the MAP probe are always f32. */
export type WeightDType = "f32" | "f16" | "q8" | "q4";

/**
 * A dense array that belongs to one backend. The shape is logical: padding, packing and precision are the backend's own
 * affair. Only the backend that made a tensor can read it, and the compiler holds that by the type.
 */
export interface Tensor {
  readonly shape: Shape;
}

/** Consecutive rows of a matrix as they stand in a file: little-endian, row-major. */
export interface FloatChunk {
  readonly dtype: "F32" | "F16" | "BF16";
  readonly rows: number;
  readonly bytes: Uint8Array;
  readonly scales?: undefined;
}

/**
 * Consecutive rows of a matrix as devices store them: each padded with zeros to a multiple of 32 columns. `bytes` are the
 * codes, row-major: of Q8 one signed byte each; of Q4 two to a byte, low nibble first, 8 above the weight. `scales` are half
 * precision bits, little-endian, one for 32 weights. A weight is its code times its scale.
 */
export interface PackedChunk {
  readonly dtype: "Q8" | "Q4";
  readonly rows: number;
  readonly bytes: Uint8Array;
  readonly scales: Uint8Array;
}

/** Consecutive rows of a matrix. Packed ones are taken only where the weight is stored as they are. */
export type RowChunk = FloatChunk | PackedChunk;

/** What a weight matrix is: shape [out, in], how to store it, and its name for errors. */
export interface WeightSpec {
  readonly name: string;
  readonly out: number;
  readonly in: number;
  readonly dtype: WeightDType;
  /** What would take less, told where there is no room: the next smaller dtype, and the bytes of all weights in it. */
  readonly smaller?: { readonly dtype: WeightDType; readonly bytes: number };
}

/** The affine map `x Wᵀ + b`: weight [out, in], bias [out]. */
export interface Linear<T> {
  readonly weight: T;
  readonly bias: T;
}

/** Layer normalisation over the last axis: weight [D], bias [D], eps inside the square root. */
export interface Norm<T> {
  readonly weight: T;
  readonly bias: T;
  readonly eps: number;
}

/** What `linear` does to its result before it is stored, in this order. */
export interface Epilogue<T> {
  /** GELU in its tanh form. */
  readonly gelu?: boolean;
  /** Added last: a tensor of the result's shape, or one without its batch axis, which is then added to every item. */
  readonly add?: T;
  /** The result is kept in float32 whatever the precision of activations: the residual stream and what leaves a tower. */
  readonly exact?: boolean;
}

/** The columns [offset, offset + width) of the last axis of a tensor: q, k or v inside one fused projection. */
export interface View<T> {
  readonly tensor: T;
  readonly offset: number;
  readonly width: number;
}

/**
 * The whole of inference. Calls check shapes at once, record work and return; only `read` waits.
 * An implementation may run what was recorded when and where it likes, in order.
 */
export interface Backend<T extends Tensor> {
  /** "cpu" or "webgpu". */
  readonly name: string;
  /** The most elements a tensor may have; a batch whose activations would exceed it is to be run in parts. */
  readonly maxElements: number;
  /** Bytes this backend holds at present: weights, activations kept for reuse, staging. */
  readonly bytes: number;
  /** Its device is gone (a driver's reset, a page in the background): every call rejects, and only a new backend helps. */
  readonly lost: boolean;
  /** Stores a matrix while its rows arrive. Resolves when `chunks` is used up; awaiting it is the back-pressure. */
  weight(spec: WeightSpec, chunks: AsyncIterable<RowChunk>): Promise<T>;
  /**
   * Resolves when all weights given so far are stored, and frees what that took. Rejects with a SiglipError that names a
   * weight with a value that is not finite, where `weight` has not done so.
   */
  settle(): Promise<void>;
  /**
   * A float32 tensor from host data, row-major. It outlives every scope when it is made outside of all. The data must not
   * change before what is made of it has been read.
   */
  tensor(data: Float32Array, shape: Shape): T;
  /** `x Wᵀ + b` on the last axis: [..., in] to [..., out]. */
  linear(x: T, w: Linear<T>, epilogue?: Epilogue<T>): T;
  /** `(x - mean) / sqrt(variance + eps) * weight + bias` over the last axis. */
  layerNorm(x: T, w: Norm<T>): T;
  /**
   * Softmax attention without a mask, all heads: `softmax(q kᵀ / sqrt(width / heads)) v`.
   * q is [B or 1, Q, width], k and v [B, K, width]; the result [B, Q, width]. A q of batch 1 serves every item.
   */
  attention(q: View<T>, k: View<T>, v: View<T>, heads: number): T;
  /** Picks rows of the last axis, counted over all outer axes: [..., D] to [indices.length, D]. */
  rows(x: T, indices: readonly number[]): T;
  /**
   * Cuts pictures [batch, channels, size, size] into [batch, grid * grid, channels * patch * patch], each row in (channel, row,
   * column) order, which is that of the convolution's weight. The last `size % patch` rows and columns are dropped, as a valid
   * convolution does.
   */
  patches(x: T, patch: number): T;
  /** Runs `body`; tensors made within are recycled afterwards, except the one it returns. */
  scope<R>(body: () => R): R;
  /**
   * The contents of a tensor as they are at this point of the recorded work, row-major without padding. Runs what has been
   * recorded since the last `read`; when the signal aborts, the rest of that is dropped and the promise rejects.
   */
  read(x: T, signal?: AbortSignal): Promise<Float32Array>;
  /** Frees everything. Later calls, and reads that have not settled, reject. */
  dispose(): void;
}

/** The number of elements of a shape. */
export function size(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** The number of rows of the last axis. */
export function rowCount(shape: Shape): number {
  return size(shape.slice(0, -1));
}

function fail(operation: string, wanted: string, found: string): never {
  throw new SiglipError(`${operation}: wanted ${wanted}, found ${found}; check the shapes of the call.`);
}

function show(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** The shape of `linear`'s result; throws a SiglipError unless everything fits. */
export function linearShape(x: Shape, w: Linear<Tensor>, epilogue: Epilogue<Tensor>): number[] {
  const [out, depth] = w.weight.shape;
  if (w.weight.shape.length !== 2 || x.at(-1) !== depth) fail("linear", `x of [..., ${depth}]`, show(x));
  if (show(w.bias.shape) !== show([out])) fail("linear", `a bias of [${out}]`, show(w.bias.shape));
  const shape = [...x.slice(0, -1), out];
  const add = epilogue.add?.shape;
  if (add && show(add) !== show(shape) && show(add) !== show(shape.slice(1))) {
    fail("linear", `an addend of ${show(shape)} or ${show(shape.slice(1))}`, show(add));
  }
  return shape;
}

/** Throws a SiglipError unless the norm fits the last axis of x. */
export function checkNorm(x: Shape, w: Norm<Tensor>): void {
  const want = show([x.at(-1)!]);
  if (show(w.weight.shape) !== want) fail("layerNorm", `a weight of ${want}`, show(w.weight.shape));
  if (show(w.bias.shape) !== want) fail("layerNorm", `a bias of ${want}`, show(w.bias.shape));
  if (!(w.eps > 0)) fail("layerNorm", "an eps above 0", String(w.eps));
}

/** The sizes of an attention call; throws a SiglipError unless the views fit each other. */
export function attentionShape(
  q: View<Tensor>,
  k: View<Tensor>,
  v: View<Tensor>,
  heads: number,
): { batch: number; queries: number; keys: number; width: number; head: number } {
  for (const view of [q, k, v]) {
    const shape = view.tensor.shape;
    if (shape.length !== 3) fail("attention", "[batch, tokens, width] tensors", show(shape));
    if (!(view.offset >= 0 && view.offset + view.width <= shape[2])) {
      fail("attention", `columns within ${show(shape)}`, `${view.offset} to ${view.offset + view.width}`);
    }
  }
  const [batch, keys] = k.tensor.shape;
  const [queryBatch, queries] = q.tensor.shape;
  if (v.tensor.shape[0] !== batch || v.tensor.shape[1] !== keys || (queryBatch !== batch && queryBatch !== 1)) {
    fail("attention", `q, k and v of one batch`, [q, k, v].map((view) => show(view.tensor.shape)).join(", "));
  }
  if (keys < 1 || queries < 1) fail("attention", "at least one query and one key", `${queries} and ${keys}`);
  if (k.width !== q.width || v.width !== q.width) {
    fail("attention", "views of one width", `${q.width}, ${k.width}, ${v.width}`);
  }
  if (!Number.isInteger(heads) || heads < 1 || q.width % heads !== 0) {
    fail("attention", `heads that divide ${q.width}`, String(heads));
  }
  return { batch, queries, keys, width: q.width, head: q.width / heads };
}

/** Throws a SiglipError unless every index names a row of x. */
export function checkRows(x: Shape, indices: readonly number[]): void {
  const count = rowCount(x);
  const bad = indices.find((index) => !(Number.isInteger(index) && index >= 0 && index < count));
  if (bad !== undefined) fail("rows", `indices below ${count}`, String(bad));
}

/** The shape of `patches`' result; throws a SiglipError unless pictures are square and hold a patch. */
export function patchesShape(x: Shape, patch: number): number[] {
  const [batch, channels, size, width] = x;
  const grid = Math.floor(size / patch);
  if (x.length !== 4 || size !== width || patch % 1 || !(grid >= 1 && patch >= 1)) {
    fail("patches", "[batch, channels, size, size] and patches of 1 to size", `${show(x)} and ${patch}`);
  }
  return [batch, grid * grid, channels * patch * patch];
}

/** Widths are padded so far: no kernel then has an edge along K, vec4 loads are aligned, and groups of scales are whole. */
const PADDING = 32;

/** A width, padded. */
export function padded(width: number): number {
  return Math.ceil(width / PADDING) * PADDING;
}

/** Weights that share a scale: consecutive along K. */
export const GROUP = 32;

/** Rows of `width` elements, each filled up with zeros to `stride`. */
export function padRows(data: Float32Array, width: number, stride: number): Float32Array<ArrayBuffer> {
  const rows = data.length / width;
  const out = new Float32Array(rows * stride);
  for (let row = 0; row < rows; row++) out.set(data.subarray(row * width, (row + 1) * width), row * stride);
  return out;
}

/** Tells of weights that no precision can hold. */
export function notFinite(name: string): SiglipError {
  return new SiglipError(`${name}: wanted finite weights, found others; the checkpoint is damaged, fetch it again.`);
}

/** Throws a SiglipError unless a chunk may become part of the weight and has the bytes of its rows. */
export function checkChunk({ name, in: depth, dtype }: WeightSpec, chunk: RowChunk): void {
  const packed = chunk.scales !== undefined;
  if (packed && chunk.dtype.toLowerCase() !== dtype) {
    throw new SiglipError(
      `${name}: wanted float rows or rows packed as ${dtype}, found ${chunk.dtype}; load with the dtype they were packed for.`,
    );
  }
  const groups = padded(depth) / PADDING;
  const codes = { F32: 4 * depth, F16: 2 * depth, BF16: 2 * depth, Q8: 32 * groups, Q4: 16 * groups }[chunk.dtype];
  const wanted = [codes * chunk.rows, ...(packed ? [2 * groups * chunk.rows] : [])];
  const found = [chunk.bytes.length, ...(packed ? [chunk.scales.length] : [])];
  if (show(wanted) !== show(found)) {
    throw new SiglipError(
      `${name}: wanted ${chunk.rows} rows of ${depth} ${chunk.dtype} weights in ${wanted.join(" and ")} bytes, found ${found.join(" and ")}; the data was cut short, fetch it again.`,
    );
  }
}

/** Throws a SiglipError unless data has as many elements as the shape says. */
export function checkData(data: ArrayLike<number>, shape: Shape): void {
  if (data.length !== size(shape)) fail("tensor", `${size(shape)} elements for ${show(shape)}`, String(data.length));
}
