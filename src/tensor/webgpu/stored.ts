import type { WeightDType } from "../program.ts";
import { padded, type Shape } from "../shape.ts";

/** How the elements of activations are stored on the device. */
export type Storage = "f32" | "f16";

/** Rows on a device, each padded with zeros to a multiple of 32 elements. */
export interface Stored {
  readonly shape: Shape;
  readonly storage: WeightDType;
  readonly buffer: GPUBuffer;
  /** Of quantised weights. */
  readonly scales?: GPUBuffer;
}

/** Elements from one row to the next. */
export function strideOf({ shape }: { readonly shape: Shape }): number {
  return padded(shape.at(-1)!);
}

/** Bytes of an element of activations. */
export function bytesOf(storage: Storage): number {
  return storage === "f16" ? 2 : 4;
}
