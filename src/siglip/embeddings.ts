import { mismatch, type SiglipError } from "../support/error.ts";

/** An item of which nothing could be made. */
export interface Skipped {
  /** Its number in the list. */
  readonly index: number;
  /** What is wrong with it. */
  readonly error: SiglipError;
}

/** Embeddings, one a row, each of length 1: `data` [n, dim] row-major. */
export interface Embeddings {
  /** Row after row. */
  readonly data: Float32Array;
  /** Rows and their width, the model's `dim`. */
  readonly shape: readonly [number, number];
  /** With `onError: "skip"` the items that have no row: their numbers, and what is wrong with them. */
  readonly skipped?: readonly Skipped[];
}

/** Scores of every image (rows) against every text (columns), row-major. */
export interface Similarity {
  /** `exp(logit_scale) * cosine + logit_bias`. */
  readonly logits: Float32Array;
  /** The sigmoid of each logit: pairs are judged one by one, so a row does not sum to one. */
  readonly probabilities: Float32Array;
  /** Images and texts. */
  readonly shape: readonly [number, number];
}

/** Scales every row of `width` values to length 1, in place; throws a SiglipError for one that has no direction. */
export function normalise(data: Float32Array, width: number): void {
  for (let base = 0; base < data.length; base += width) {
    let squares = 0;
    for (let d = 0; d < width; d++) squares += data[base + d] ** 2;
    const norm = Math.sqrt(squares);
    if (!(norm > 0 && norm < Number.POSITIVE_INFINITY)) {
      const advice = `load with dtype "f32", and if that gives the same the checkpoint is damaged`;
      const subject = `embedding ${base / width}`;
      throw mismatch("bad-checkpoint", subject, "a vector with a direction", `length ${norm}`, advice);
    }
    for (let d = 0; d < width; d++) data[base + d] /= norm;
  }
}
