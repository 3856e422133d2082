import { type FloatSource, packRowsStep, probe, rowBytes, type Step } from "../../../kernels/wasm/index.ts";
import type { FloatChunk, RowChunk } from "../packing.ts";
import type { Threads } from "./crowd.ts";
import { Kernels } from "./kernels.ts";
import { Memory } from "./memory.ts";
import { Pool } from "./pool.ts";

/** Bytes for what comes in and goes out: a chunk of a checkpoint has 4 MiB, but a single row of it may have more. */
const MOST = 2 ** 28;

/** Halves need no rows: they are rounded in pieces of so many. */
const PIECE = 1024;

/** Rounds rows in WebAssembly, for whoever stores them elsewhere. */
export class Packer {
  private readonly memory: Memory;
  private readonly pool: Pool;
  private readonly kernels: Kernels;

  private constructor(memory: Memory, pool: Pool, kernels: Kernels) {
    this.memory = memory;
    this.pool = pool;
    this.kernels = kernels;
  }

  /** Starts its threads; undefined where the engine has no SIMD. Rejects where there is no memory. */
  static async open(threading: () => Threads | Promise<Threads>): Promise<Packer | undefined> {
    const instructions = probe();
    if (!instructions) return undefined;
    const runtime = await threading();
    const memory = new Memory({ shared: typeof runtime.ways !== "string", most: MOST });
    const pool = await Pool.open({ memory, runtime });
    return new Packer(memory, pool, new Kernels(pool, memory, instructions));
  }

  /**
   * The rows as `packRows` makes them, bit for bit; undefined where a weight is not finite. Rejects where there is no room,
   * and where a thread has died.
   */
  async pack(chunk: FloatChunk, width: number, as: "f16" | "q8" | "q4"): Promise<RowChunk | undefined> {
    const { memory } = this;
    const { dtype, rows } = chunk;
    const weights = rows * width;
    const each = as === "f16" ? { codes: 2 * width, scales: 0 } : rowBytes(as, width);
    const blocks = [chunk.bytes.length, 4, each.codes * rows + 64, each.scales * rows].map((size) =>
      memory.alloc(size),
    );
    const [address, flag, codesAt, scalesAt] = blocks;
    try {
      memory.bytesAt(address, chunk.bytes.length).set(chunk.bytes);
      memory.intsAt(flag, 1)[0] = 0;
      const source = { address, dtype, rows, depth: width, flag };
      const steps = as === "f16" ? halves(source, weights, codesAt) : [packRowsStep(as, source, codesAt, scalesAt)];
      await this.kernels.run(steps);
      if (memory.intsAt(flag, 1)[0] !== 0) return undefined;
      // Copies: this memory may be shared, which devices and files refuse.
      const bytes = memory.bytesAt(codesAt, each.codes * rows).slice();
      if (as === "f16") return { dtype: "F16", rows, bytes };
      const scales = memory.bytesAt(scalesAt, each.scales * rows).slice();
      return { dtype: as === "q8" ? "Q8" : "Q4", rows, bytes, scales };
    } finally {
      if (!this.pool.lost) for (const block of blocks) memory.free(block);
    }
  }

  /** Ends the threads. */
  close(): void {
    this.pool.dispose();
  }
}

/** Rows without padding, as one run of weights: pieces, and what is left. */
function halves(source: FloatSource, weights: number, to: number): Step[] {
  const pieces = Math.floor(weights / PIECE);
  const bytes = source.dtype === "F32" ? 4 : 2;
  const rest = { ...source, address: source.address + bytes * PIECE * pieces, rows: 1, depth: weights % PIECE };
  return [
    packRowsStep("f16", { ...source, rows: pieces, depth: PIECE }, to, 0),
    ...(rest.depth > 0 ? [packRowsStep("f16", rest, to + 2 * PIECE * pieces, 0)] : []),
  ];
}
