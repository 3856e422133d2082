/** A shape, outermost axis first. */
export type Shape = readonly number[];

/** How a weight matrix is stored on the device. Norms, biases, positions and the MAP probe are always f32. */
export type WeightDType = "f32" | "f16" | "q8" | "q4";

/** A dense array on one backend. The shape is logical: padding, packing and precision are the backend's own affair. */
export interface Tensor {
  readonly shape: Shape;
}

/** Consecutive rows of a weight matrix, as float32, row-major. Chunks follow one another without gaps. */
export type Rows = AsyncIterable<Float32Array>;

/** A linear map `x Wᵀ + b`: weight [out, in], bias [out]. */
export interface Linear<T> {
  readonly weight: T;
  readonly bias: T;
}
