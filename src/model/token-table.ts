import type { Weights } from "../checkpoint/weights.ts";
import { mismatch } from "../support/error.ts";
import { float32ToHalf, toFloat32 } from "../support/numbers.ts";
import type { TextConfig } from "./config.ts";

/** Rows kept in memory: 4096 of 1152 features are 19 MB. */
const KEPT_ROWS = 4096;

/** Rows read at the same time. */
const AT_ONCE = 8;

/**
 * The token table [vocabulary, hidden], read from the checkpoint a row at a time: a text needs at most 64 of its rows,
 * and the table (147 MB, or 1.2 GB in SigLIP 2) is neither read whole nor sent to a device.
 */
export class TokenTable {
  private readonly weights: Weights;
  private readonly name: string;
  private readonly dtype: "f32" | "f16";
  private readonly config: TextConfig;
  private readonly positions: Float32Array;
  private readonly kept = new Map<number, Float32Array>();

  /**
   * `positions` is the learned position table [positions, hidden]. Rows are rounded to `dtype`, so that a text has one embedding
   * whether they come from the checkpoint or from a copy that keeps them so.
   */
  constructor(weights: Weights, name: string, dtype: "f32" | "f16", config: TextConfig, positions: Float32Array) {
    const want = [config.vocabulary, config.hidden];
    const found = weights.info(name).shape;
    if (found.join() !== want.join()) {
      const shape = `shape [${want.join(", ")}] by config.json`;
      const other = `[${found.join(", ")}] in the checkpoint`;
      throw mismatch("bad-checkpoint", name, shape, other, "the two do not belong together");
    }
    this.weights = weights;
    this.name = name;
    this.dtype = dtype;
    this.config = config;
    this.positions = positions;
  }

  /** Token plus position embeddings [batch, positions, hidden] of ids [batch, positions], row-major. */
  async embed(ids: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array> {
    const { hidden, positions } = this.config;
    const out = new Float32Array(ids.length * hidden);
    const rows = await this.fetch(new Set(Array.from(ids)), signal);
    for (let index = 0; index < ids.length; index++) {
      const row = rows.get(ids[index])!;
      const position = (index % positions) * hidden;
      const base = index * hidden;
      for (let d = 0; d < hidden; d++) out[base + d] = row[d] + this.positions[position + d];
    }
    return out;
  }

  private async fetch(wanted: ReadonlySet<number>, signal?: AbortSignal): Promise<Map<number, Float32Array>> {
    const rows = new Map<number, Float32Array>();
    const missing: number[] = [];
    for (const id of wanted) {
      if (!(Number.isInteger(id) && id >= 0 && id < this.config.vocabulary)) {
        const wanted = `token ids from 0 to ${this.config.vocabulary - 1}`;
        throw mismatch("bad-input", "textTower", wanted, `${id}`, "use the tokenizer of this checkpoint");
      }
      const row = this.kept.get(id);
      if (row) rows.set(id, row);
      else missing.push(id);
    }
    // In the file's order and several at once: on a server each is a request.
    missing.sort((a, b) => a - b);
    for (let from = 0; from < missing.length; from += AT_ONCE) {
      const ids = missing.slice(from, from + AT_ONCE);
      const read = await Promise.all(ids.map((id) => this.read(id, signal)));
      for (const [index, id] of ids.entries()) rows.set(id, read[index]);
    }
    for (const [id, row] of rows) {
      this.kept.delete(id);
      this.kept.set(id, row);
      if (this.kept.size > KEPT_ROWS) this.kept.delete(this.kept.keys().next().value!);
    }
    return rows;
  }

  private async read(id: number, signal?: AbortSignal): Promise<Float32Array> {
    for await (const chunk of this.weights.rows(this.name, { from: id, to: id + 1, as: this.dtype, signal })) {
      const row = toFloat32(chunk.bytes, chunk.dtype);
      if (this.dtype === "f16") return toFloat32(new Uint8Array(float32ToHalf(row).buffer), "F16");
      // A copy: the chunk may be a view into a much larger buffer, which the map must not keep alive.
      return row.slice();
    }
    throw mismatch("bad-checkpoint", this.name, `row ${id}`, "none", "the checkpoint is damaged, fetch it again");
  }
}
