import type { Backend } from "../tensor/backend.ts";
import { type Program, Recorder, type Weight } from "../tensor/program.ts";
import { type Lost, lostOf, once, queryBound, restOf, SLACK } from "./scan.ts";

/** Rows as a backend holds them. */
interface Held extends Lost {
  /** The first one's number. */
  readonly first: number;
  readonly rows: number;
  readonly weight: Weight;
  readonly bias: Weight;
}

/** A row that is shorter may have been rounded to nothing. */
const SHORTEST = 2 ** -90;

/**
 * Some rows at a time on a backend, each compared with many others at once in integers of 8 bits: tells which pairs may
 * reach a score. Only some columns need be compared, since the lengths of what is left out bound what that may add.
 */
export class Strip {
  private readonly backend: Backend;
  private readonly width: number;
  private readonly columns: Uint32Array | undefined;
  private readonly name: string;
  /** Of each row, once it has been held, a bound on the length of what lies in the columns that are left out. */
  private readonly tails: Float32Array;
  private held: Held | undefined;
  private programs = new Map<number, Program>();

  /** For `count` rows, on a backend as a scan wants it; without `columns` all are compared. */
  constructor(backend: Backend, count: number, width: number, columns?: Uint32Array) {
    this.backend = backend;
    this.width = width;
    this.columns = columns;
    this.name = columns ? `${columns.length} columns` : "all columns";
    this.tails = new Float32Array(count);
  }

  /** Takes finite rows from a number on, row-major, in place of those before. */
  async hold(first: number, values: Float32Array): Promise<void> {
    const rows = values.length / this.width;
    const part = this.part(values);
    const width = part.length / rows;
    const weight: Weight = { name: this.name, shape: [rows, width], dtype: "q8" };
    const bias: Weight = { name: `${this.name}, bias`, shape: [rows], dtype: "f32" };
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    await this.backend.weight(weight, once({ dtype: "F32", rows, bytes }));
    if (this.held?.rows !== rows) this.backend.constant(bias, new Float32Array(rows));
    this.held = { first, rows, weight, bias, ...lostOf(part, width) };
    this.programs = new Map();
    this.measureTails(first, values);
  }

  /**
   * The pairs of one of these rows, which have been held before, and one that is held, whose dot product may reach
   * `above`: their places among these and among those, one after the other. Undefined where there are more than `most`.
   */
  async likely(
    from: number,
    values: Float32Array,
    above: number,
    most: number,
    signal?: AbortSignal,
  ): Promise<number[] | undefined> {
    const { first, rows, weight, lost, most: mostLost, reach } = this.held!;
    const tails = this.tails.subarray(first, first + rows);
    const count = values.length / this.width;
    const part = this.part(values);
    const width = part.length / count;
    const outputs = await this.backend.run(this.program(count, width), { queries: part }, signal);
    const scores = outputs[weight.name];
    const mostTail = tails.reduce((a, b) => Math.max(a, b), 0);
    const found: number[] = [];
    for (let query = 0, base = 0; query < count; query++, base += rows) {
      const { length, lost: share } = queryBound(part.subarray(query * width, (query + 1) * width));
      const unknown = length > 0 && length < SHORTEST;
      const wanted = above - (unknown ? Number.POSITIVE_INFINITY : restOf(reach, length, share));
      const tail = this.tails[from + query];
      const least = wanted - mostLost * length - mostTail * tail;
      for (let row = 0; row < rows; row++) {
        const score = scores[base + row];
        // Written so that no number, where float32 overflowed, is not left out.
        if (score < least || score + lost[row] * length + tails[row] * tail < wanted) continue;
        found.push(query, row);
      }
      if (found.length > 2 * most) return undefined;
    }
    return found;
  }

  private program(count: number, width: number): Program {
    let program = this.programs.get(count);
    if (!program) {
      const { weight, bias } = this.held!;
      const p = new Recorder();
      p.output(weight.name, p.linear(p.input("queries", [count, width]), { weight, bias }));
      program = p.finish();
      this.programs.set(count, program);
    }
    return program;
  }

  /** The columns that are compared. */
  private part(values: Float32Array): Float32Array {
    const { columns, width } = this;
    if (!columns) return values;
    const part = new Float32Array((values.length / width) * columns.length);
    for (let base = 0, at = 0; base < values.length; base += width) {
      for (const column of columns) part[at++] = values[base + column];
    }
    return part;
  }

  private measureTails(first: number, values: Float32Array): void {
    const { columns, width, tails } = this;
    if (!columns) return;
    const left = new Uint8Array(width).fill(1);
    for (const column of columns) left[column] = 0;
    for (let base = 0, row = first; base < values.length; base += width, row++) {
      let squares = 0;
      for (let d = 0; d < width; d++) if (left[d]) squares += values[base + d] ** 2;
      tails[row] = Math.sqrt(squares) * SLACK;
    }
  }
}
