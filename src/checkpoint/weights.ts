import type { FloatChunk, RowChunk } from "../tensor/packing.ts";
import type { StoredDType } from "../tensor/program.ts";
import type { RowsOptions } from "./checkpoint.ts";
import type { TensorInfo } from "./read-safetensors.ts";

/**
 * What the towers read of a model's tensors: a checkpoint, or a copy of one that keeps them in the precision asked for.
 */
export interface Weights {
  /** Every tensor, by name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** A tensor's dtype and shape. Throws a SiglipError where there is no such tensor. */
  info(name: string): TensorInfo;
  /** Tells that these tensors are about to be read, in no certain order; none of them where that is over. */
  plan(names: Iterable<string>): void;
  /**
   * The rows of a tensor in order, in chunks. `as` is what they are wanted for, "f32" by default: they may come as
   * they are stored, or rounded to no less than that; only where quantised rows are wanted they may come packed.
   */
  rows(name: string, options?: RowsOptions & { readonly as?: "f32" | "f16" }): AsyncIterable<FloatChunk>;
  rows(name: string, options: RowsOptions & { readonly as?: StoredDType }): AsyncIterable<RowChunk>;
}
