import type { SiglipError } from "../support/error.ts";
import { Slice } from "../support/slices.ts";
import { product } from "./product.ts";
import { BLOCK, type Rows } from "./rows.ts";
import type { Scan } from "./scan.ts";
import { type Scored, Top } from "./top.ts";

/** A scan, and how to end its threads. */
export interface OpenScan {
  readonly scan: Scan;
  close(): void;
}

/** With so many values loops take longer than threads take to start. */
export const MANY = 2 ** 24;

/**
 * Finds the rows nearest to a query, every one compared. Few are compared in float64. Of many all are compared as integers
 * of 8 bits, in WebAssembly on threads, and those that may be among the best again in float64: what is found is the same.
 */
export class Finder {
  private readonly openScan: () => Promise<OpenScan | undefined>;
  private scanning: Promise<OpenScan | undefined> | undefined;
  /** The most blocks of a scan, once it has run out of memory. */
  private room = Number.POSITIVE_INFINITY;

  /** `openScan` gives nothing where the engine has no SIMD. */
  constructor(openScan: () => Promise<OpenScan | undefined>) {
    this.openScan = openScan;
  }

  /** The best so many of all rows but those that are removed, best first, with their scores in float64. */
  async find(
    rows: Rows,
    query: Float32Array,
    most: number,
    removed: ReadonlySet<number>,
    signal?: AbortSignal,
  ): Promise<Scored[]> {
    signal?.throwIfAborted();
    const top = new Top(most);
    // Where most of them are wanted, most of them would be compared twice.
    const scan = rows.size * rows.width >= MANY && most < rows.size / 16 ? await this.scan(rows, signal) : undefined;
    if (scan) await this.searchScanned(scan, rows, query, removed, top, signal);
    const slice = new Slice(signal);
    for (let number = scan?.size ?? 0; number < rows.blocks.length; number++) {
      if (slice.over) await slice.end();
      const values = await rows.blocks[number].values(signal);
      for (let row = 0, base = 0; base < values.length; row++, base += rows.width) {
        const index = number * BLOCK + row;
        if (!removed.has(index)) top.add(index, product(values, base, query));
      }
    }
    return top.sorted();
  }

  /** First what is certain to be reached by so many; then those that may reach it, by their exact scores. */
  private async searchScanned(
    scan: Scan,
    rows: Rows,
    query: Float32Array,
    removed: ReadonlySet<number>,
    top: Top,
    signal?: AbortSignal,
  ): Promise<void> {
    const blocks = await scan.scores(query, signal);
    const certain = new Top(top.most);
    for (const [number, { scores, bound }] of blocks.entries()) {
      for (let row = 0; row < BLOCK; row++) {
        if (scores[row] <= certain.least) continue;
        const score = scores[row] - bound(row);
        const index = number * BLOCK + row;
        if (score > certain.least && !removed.has(index)) certain.add(index, score);
      }
    }
    const { least } = certain;
    const slice = new Slice(signal);
    for (const [number, { scores, bound, worst }] of blocks.entries()) {
      const likely: number[] = [];
      for (let row = 0; row < BLOCK; row++) {
        if (scores[row] + worst < least || scores[row] + bound(row) < least) continue;
        if (!removed.has(number * BLOCK + row)) likely.push(row);
      }
      // Rows of a file are read one by one only where they are few.
      const values = likely.length > BLOCK / 64 ? await rows.blocks[number].values(signal) : undefined;
      for (const row of likely) {
        if (slice.over) await slice.end();
        const index = number * BLOCK + row;
        const [from, base] = values ? [values, row * rows.width] : [await rows.row(index), 0];
        top.add(index, product(from, base, query));
      }
    }
  }

  /** Ends the threads; a later search starts them again. */
  dispose(): void {
    this.scanning?.then((open) => open?.close()).catch(() => {});
    this.scanning = undefined;
  }

  /** A scan of the whole blocks, as many as there is room for, where the engine has SIMD. */
  private async scan(rows: Rows, signal?: AbortSignal): Promise<Scan | undefined> {
    if (this.room === 0) return undefined;
    let open = await this.scanning;
    if (open?.scan.lost) {
      this.dispose();
      open = undefined;
    }
    if (!open) {
      const opening = this.openScan();
      this.scanning = opening;
      opening.catch(() => {
        if (this.scanning === opening) this.scanning = undefined;
      });
      open = await opening;
    }
    if (!open) return undefined;
    const { scan } = open;
    const whole = Math.floor(rows.size / BLOCK);
    while (scan.size < Math.min(whole, this.room)) {
      signal?.throwIfAborted();
      const values = await rows.blocks[scan.size].values(signal);
      try {
        await scan.add(values);
      } catch (error) {
        if ((error as SiglipError).code !== "out-of-memory") throw error;
        // The results need room, too. The rows beyond are compared in float64.
        this.room = Math.floor(scan.size * 0.9);
        this.dispose();
        return this.room > 0 ? this.scan(rows, signal) : undefined;
      }
    }
    return scan;
  }
}
