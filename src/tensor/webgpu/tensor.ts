import type { Shape, Tensor, WeightDType } from "../backend.ts";

/** How the elements of activations are stored on the device. */
export type Storage = "f32" | "f16";

/** Rows on a device, each padded with zeros to a multiple of 32 elements. */
export class GpuTensor implements Tensor {
  readonly shape: Shape;
  readonly storage: WeightDType;
  readonly buffer: GPUBuffer;
  /** Of quantised weights. */
  readonly scales: GPUBuffer | undefined;

  constructor(shape: Shape, storage: WeightDType, buffer: GPUBuffer, scales?: GPUBuffer) {
    this.shape = shape;
    this.storage = storage;
    this.buffer = buffer;
    this.scales = scales;
  }

  /** Elements from one row to the next. */
  get stride(): number {
    return padded(this.shape.at(-1)!);
  }
}

/** Widths are padded so far: no kernel then has an edge along K, and vec4 loads are aligned. */
const PADDING = 32;

/** A width, padded. */
export function padded(width: number): number {
  return Math.ceil(width / PADDING) * PADDING;
}

/** Rows of `width` elements, each filled up with zeros to `stride`. */
export function padRows(data: Float32Array, width: number, stride: number): Float32Array<ArrayBuffer> {
  const rows = data.length / width;
  const out = new Float32Array(rows * stride);
  if (width === stride) out.set(data);
  else for (let row = 0; row < rows; row++) out.set(data.subarray(row * width, (row + 1) * width), row * stride);
  return out;
}
