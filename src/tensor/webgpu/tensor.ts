import { padded, type Shape, type Tensor, type WeightDType } from "../backend.ts";

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
