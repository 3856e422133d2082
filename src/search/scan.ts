import type { Backend } from "../tensor/backend.ts";
import type { FloatChunk } from "../tensor/packing.ts";
import { type Program, Recorder, type Weight } from "../tensor/program.ts";
import { GROUP } from "../tensor/shape.ts";

/** Scores of a block of rows, each off by at most its bound. */
export interface Scored {
  readonly scores: Float32Array;
  /** The most by which a row's score differs from the exact dot product. */
  bound(row: number): number;
  /** The most of all bounds. */
  readonly worst: number;
}

/** A block as a backend holds it. */
interface Stored extends Lost {
  readonly weight: Weight;
  readonly bias: Weight;
}

/** What covers the rounding of these bounds' own arithmetic. */
export const SLACK = 1 + 2 ** -12;

/** The least half-precision number above 0: a scale is off by so much or by 2^-11 of itself. */
const LEAST_HALF = 2 ** -24;

/** The greatest: a scale is no more, and what it does not reach is cut off. */
const MOST_HALF = 65504;

/** From here on sums in float32 may overflow, and then they say nothing. */
const MOST_SUM = 2 ** 126;

/**
 * Embeddings as integers of 8 bits on a backend, with a scale for each 32 values: the scores of all of them are one
 * linear map of the query. With every score comes by how much it may be wrong, so that what is certainly not among the
 * best need not be looked at again.
 */
export class Scan {
  private readonly backend: Backend;
  private readonly width: number;
  private readonly blocks: Stored[] = [];
  private program: Program | undefined;

  /** `backend` is one that rounds the query of a q8 linear map to no less than 14 bits, and sums in float32, as wasm. */
  constructor(backend: Backend, width: number) {
    this.backend = backend;
    this.width = width;
  }

  /** Blocks that it holds. */
  get size(): number {
    return this.blocks.length;
  }

  /** Its backend is gone, and it with that. */
  get lost(): boolean {
    return this.backend.lost;
  }

  /** Adds a block of finite rows, row-major. */
  async add(values: Float32Array): Promise<void> {
    const rows = values.length / this.width;
    const weight: Weight = { name: `rows ${this.size}`, shape: [rows, this.width], dtype: "q8" };
    const bias: Weight = { name: `bias ${rows}`, shape: [rows], dtype: "f32" };
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    await this.backend.weight(weight, once({ dtype: "F32", rows, bytes }));
    if (!this.blocks.some((block) => block.bias.name === bias.name)) {
      this.backend.constant(bias, new Float32Array(rows));
    }
    this.blocks.push({ weight, bias, ...lostOf(values, this.width) });
    this.program = undefined;
  }

  /**
   * Scores of all blocks. The bound is that of Cauchy and Schwarz: the length of what rounding took from the row times
   * the query's, what it took from the query times the row's, and the rounding of float32 sums. It is infinite where these
   * may overflow: the score may be no number then. A query of values below 2^-100 comes out shorter, which changes all
   * scores by one factor.
   */
  async scores(query: Float32Array, signal?: AbortSignal): Promise<Scored[]> {
    this.program ??= this.record();
    const outputs = await this.backend.run(this.program, { query }, signal);
    const { length, lost: share } = queryBound(query);
    return this.blocks.map(({ weight, lost, most, reach }) => {
      const rest = restOf(reach, length, share);
      const bound = (row: number) => lost[row] * length + rest;
      return { scores: outputs[weight.name], bound, worst: most * length + rest };
    });
  }

  private record(): Program {
    const p = new Recorder();
    const query = p.input("query", [1, this.width]);
    for (const { weight, bias } of this.blocks) p.output(weight.name, p.linear(query, { weight, bias }));
    return p.finish();
  }
}

/** A query's length, and by how much of a row's reach its own rounding and sums in float32 may put a score off. */
export function queryBound(query: Float32Array): { length: number; lost: number } {
  let squares = 0;
  let top = 0;
  for (const value of query) {
    squares += value * value;
    top = Math.max(top, Math.abs(value));
  }
  const length = Math.sqrt(squares) * SLACK;
  // Half a step of 14 bits a value; the kernel's own arithmetic in float32 is well within one percent of that.
  const ofRounding = (Math.sqrt(query.length) * 0.505 * top) / 8191;
  const ofSums = query.length * 2 ** -23 * length;
  return { length, lost: ofRounding + ofSums };
}

/** By how much a query's part may put scores off among rows of a reach; infinite where float32 may overflow. */
export function restOf(reach: number, length: number, lost: number): number {
  return reach * length < MOST_SUM ? reach * lost * SLACK : Number.POSITIVE_INFINITY;
}

/** What rounding to 8 bits may take from rows. */
export interface Lost {
  /** Of each row a bound on the length of what rounding took from it. */
  readonly lost: Float32Array;
  /** The most of them. */
  readonly most: number;
  /** A bound on the length of any of the rows, rounded. */
  readonly reach: number;
}

/** Of each value rounding may take half a step, and what the rounded scale cuts off. */
export function lostOf(values: Float32Array, width: number): Lost {
  const rows = values.length / width;
  const lost = new Float32Array(rows);
  let most = 0;
  let reach = 0;
  for (let row = 0; row < rows; row++) {
    let total = 0;
    let squares = 0;
    for (let from = 0; from < width; from += GROUP) {
      const to = Math.min(width, from + GROUP);
      let top = 0;
      for (let i = row * width + from; i < row * width + to; i++) {
        const value = Math.abs(values[i]);
        squares += value * value;
        if (value > top) top = value;
      }
      const step = top / 127;
      const each = 0.5 * step + 127 * Math.max(step * 2 ** -11, LEAST_HALF, step - MOST_HALF);
      total += (to - from) * each * each;
    }
    lost[row] = Math.sqrt(total) * SLACK;
    most = Math.max(most, lost[row]);
    reach = Math.max(reach, Math.sqrt(squares) + lost[row]);
  }
  return { lost, most, reach: reach * SLACK };
}

/** Float32 rows as a backend takes a weight's. */
export async function* once(chunk: FloatChunk): AsyncGenerator<FloatChunk> {
  yield chunk;
}
