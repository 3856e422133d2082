/** How many numbers lie in one piece. */
const PIECE = 2 ** 14;

/** Numbers in a list that grows without being copied: in typed arrays, so that millions of them are no objects. */
export class Numbers {
  private readonly pieces: (Float64Array | Uint32Array)[] = [];
  private readonly Piece: typeof Float64Array | typeof Uint32Array;
  private count = 0;

  /** Of whole numbers below 2^32, or of any. */
  constructor(Piece: typeof Float64Array | typeof Uint32Array) {
    this.Piece = Piece;
  }

  get length(): number {
    return this.count;
  }

  /** Gives the new number's index. */
  push(value: number): number {
    const at = this.count++;
    if (at % PIECE === 0) this.pieces.push(new this.Piece(PIECE));
    this.set(at, value);
    return at;
  }

  get(index: number): number {
    return this.pieces[Math.floor(index / PIECE)][index % PIECE];
  }

  set(index: number, value: number): void {
    this.pieces[Math.floor(index / PIECE)][index % PIECE] = value;
  }
}
