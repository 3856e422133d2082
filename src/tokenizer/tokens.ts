/**
 * The ids of a text as they are found: unknowns become their bytes or, without byte fallback, one unknown for every run
 * of them.
 */
export class Tokens {
  readonly ids: number[] = [];
  /**
   * Unigram: the score of the best path so far, a float32. It runs through the whole text, so that rounding and ties
   * are SentencePiece's.
   */
  score = 0;
  private readonly unkId: number;
  private readonly byteIds: Int32Array | undefined;
  private afterUnknown = false;

  /** `byteIds`: the ids of the 256 byte pieces, where the model falls back to them. */
  constructor(unkId: number, byteIds: Int32Array | undefined) {
    this.unkId = unkId;
    this.byteIds = byteIds;
  }

  /** Appends piece `id`, which stands for `bytes[start, end)`; a negative id is an unknown. */
  push(id: number, bytes: Uint8Array, start: number, end: number): void {
    const unknown = id < 0;
    if (!unknown) this.ids.push(id);
    else if (this.byteIds) for (let i = start; i < end; i++) this.ids.push(this.byteIds[bytes[i]]);
    else if (!this.afterUnknown) this.ids.push(this.unkId);
    this.afterUnknown = unknown;
  }
}
