/** What an embedding is of. */
export type Kind = "image" | "text";

/** How the values of stored embeddings are kept: as floats, or as integers from -127 to 127 with a scale for each. */
export type VectorDType = "f32" | "f16" | "i8";

/** What names an embedding among others. */
export interface VectorKey {
  readonly kind: Kind;
  /** A path or URL, or the text itself. */
  readonly name: string;
  /** What changes whenever the content under the name does, such as a file's size and time; "" where nothing can. */
  readonly stamp: string;
}

/** An embedding as it is stored. */
export interface StoredVector extends VectorKey {
  /** Its values [width], little-endian, in the dtype of all. */
  readonly bytes: Uint8Array;
  /** What a value of 1 stands for; 1 unless they are integers. */
  readonly scale: number;
}

/** What is said of all embeddings of a file. */
export interface VectorHeader {
  /** Values in an embedding. */
  readonly width: number;
  readonly dtype: VectorDType;
  /** How many there are of each kind. */
  readonly counts: Readonly<Record<Kind, number>>;
  /**
   * What made them, in words that are equal where embeddings can be compared: `model`, `revision`, `dtype`, `image`
   * (preprocessing) and whatever else decides about their values. Empty where it is not known.
   */
  readonly origin: Readonly<Record<string, string>>;
}

/**
 * Embeddings in a file, or to be written into one: those of pictures first, then those of texts. Each way through them
 * may be gone again, and holds few of them at a time.
 */
export interface Vectors {
  readonly header: VectorHeader;
  keys(signal?: AbortSignal): AsyncIterable<VectorKey>;
  /** All in the same order, with their values. */
  rows(signal?: AbortSignal): AsyncIterable<StoredVector>;
}
