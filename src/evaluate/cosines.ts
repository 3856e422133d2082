import type { Embeddings } from "../siglip/embeddings.ts";

/** Rows of one list of embeddings that are scored together with those of another. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** The dot product of two rows, in float64 and from the first value to the last: the order that blocks keep, too. */
export function cosine(a: Embeddings, row: number, b: Embeddings, column: number): number {
  const width = a.shape[1];
  let sum = 0;
  for (let d = 0; d < width; d++) sum += a.data[row * width + d] * b.data[column * width + d];
  return sum;
}

/** Room for rows in float64, which need not be converted anew while they are the same. */
class Wide {
  readonly values: Float64Array;
  private taken: Float32Array | undefined;
  private range: Range | undefined;

  constructor(length: number) {
    this.values = new Float64Array(length);
  }

  take({ data, shape: [, width] }: Embeddings, { from, to }: Range): Float64Array {
    if (this.taken !== data || this.range?.from !== from || this.range.to !== to) {
      this.values.set(data.subarray(from * width, to * width));
      this.taken = data;
      this.range = { from, to };
    }
    return this.values;
  }
}

/** Dot products of rows with rows, a block at a time; the embeddings must not change meanwhile. */
export class CosineBlocks {
  private readonly rows: Wide;
  private readonly columns: Wide;
  private readonly width: number;
  /** The last block's scores, row-major, as wide as its columns were many. */
  readonly scores: Float64Array;

  /** For blocks of at most `rows` by `columns` embeddings of `width` values. */
  constructor(rows: number, columns: number, width: number) {
    this.width = width;
    this.rows = new Wide(rows * width);
    this.columns = new Wide(columns * width);
    this.scores = new Float64Array(rows * columns);
  }

  /** Scores some rows of `a` against some of `b`: each value is what `cosine` gives, bit for bit. */
  fill(a: Embeddings, rows: Range, b: Embeddings, columns: Range): Float64Array {
    const { width, scores } = this;
    const left = this.rows.take(a, rows);
    const right = this.columns.take(b, columns);
    const [height, breadth] = [rows.to - rows.from, columns.to - columns.from];
    for (let i = 0; i < height; i++) {
      let j = 0;
      for (; j + 4 <= breadth; j += 4) this.four(i, j, breadth);
      for (; j < breadth; j++) {
        let sum = 0;
        for (let d = 0; d < width; d++) sum += left[i * width + d] * right[j * width + d];
        scores[i * breadth + j] = sum;
      }
    }
    return scores;
  }

  /** One row against four columns: four sums at a time keep the processor busy. */
  private four(i: number, j: number, breadth: number): void {
    const { width, scores } = this;
    const [rows, columns] = [this.rows.values, this.columns.values];
    let [p, q, r, s] = [0, 0, 0, 0];
    const row = i * width;
    const first = j * width;
    const [second, third, fourth] = [first + width, first + 2 * width, first + 3 * width];
    for (let d = 0; d < width; d++) {
      const value = rows[row + d];
      p += value * columns[first + d];
      q += value * columns[second + d];
      r += value * columns[third + d];
      s += value * columns[fourth + d];
    }
    const at = i * breadth + j;
    scores[at] = p;
    scores[at + 1] = q;
    scores[at + 2] = r;
    scores[at + 3] = s;
  }
}
