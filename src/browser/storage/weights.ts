import type { RowsOptions } from "../../checkpoint/checkpoint.ts";
import { missingTensor } from "../../checkpoint/missing.ts";
import type { TensorInfo } from "../../checkpoint/safetensors.ts";
import type { Weights } from "../../checkpoint/weights.ts";
import { mismatch } from "../../support/error.ts";
import { HostRounding } from "../../tensor/host-rounding.ts";
import type { FloatChunk, RowChunk } from "../../tensor/packing.ts";
import type { StoredDType } from "../../tensor/program.ts";
import { GROUP, padded, size } from "../../tensor/shape.ts";
import { type CacheFolder, reasonOf } from "./folder.ts";

/** Rows of a table of which single rows are asked for that are kept together: half a megabyte of half precision. */
const TABLE_ROWS = 256;

/** Files read before they are asked for; each holds at most what a chunk of a checkpoint holds, 4 MiB. */
const AHEAD = 4;

/**
 * Files on their way into the folder at a time, and bytes in them, as many as four chunks of a checkpoint hold. Most files are
 * small, and Firefox takes a tenth of a second for each: the load is not to wait for them.
 */
const WRITES = 256;
const WRITTEN_BYTES = 2 ** 24;

/** What `KeptWeights` stands on. */
export interface KeptWeightsOptions {
  /** The model, for errors. */
  readonly name: string;
  readonly folder: CacheFolder;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The checkpoint of which the folder is a copy; rejects where it is out of reach, or another by now. */
  readonly origin: (signal?: AbortSignal) => Promise<Weights>;
  /** Names of files that are in the folder. */
  readonly present: ReadonlySet<string>;
  /** Files of the folder in the order in which a load reads them, as far as it is known. */
  readonly order: readonly string[];
  readonly onWarning: (message: string) => void;
}

/**
 * The tensors of a checkpoint, kept in a folder in the precision they are asked for: what is there comes from there,
 * what is not is fetched, converted here and written on its way. A file of the folder holds a chunk of rows and is
 * named for its tensor and first row. One that is damaged is told of, removed and fetched again. When no more can be
 * written the rest is only fetched.
 */
export class KeptWeights implements Weights {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Files that were read or written, in that order. */
  readonly files = new Set<string>();
  /** Whether something was handed on that is not in the folder. */
  lacking = false;
  private readonly options: KeptWeightsOptions;
  private readonly writing = new Set<Promise<void>>();
  /** Bytes in those. */
  private held = 0;
  /** What is to be read of the origin. */
  private planned: string[] = [];
  private source: Weights | undefined;
  private readonly rounding: HostRounding;
  private readonly ahead = new Map<string, Promise<Uint8Array | undefined>>();

  constructor(options: KeptWeightsOptions) {
    this.options = options;
    // In a field's initialiser the compiler would leave the file's name as it is here.
    this.rounding = new HostRounding(async () => (await import("../threads.ts")).browserThreads());
    this.tensors = options.tensors;
  }

  info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info) return info;
    const advice = "the checkpoint is not the one its config.json describes";
    throw missingTensor(this.options.name, name, [...this.tensors.keys()], advice);
  }

  plan(names: Iterable<string>): void {
    this.planned = [...names].filter((name) => !this.options.present.has(`${name}.0`));
    this.source?.plan(this.planned);
  }

  rows(name: string, options?: RowsOptions & { readonly as?: "f32" | "f16" }): AsyncGenerator<FloatChunk>;
  rows(name: string, options: RowsOptions & { readonly as?: StoredDType }): AsyncGenerator<RowChunk>;
  async *rows(name: string, options: RowsOptions & { readonly as?: StoredDType } = {}): AsyncGenerator<RowChunk> {
    const layout = layoutOf(this.info(name), options.as ?? "f32");
    const { from = 0, to = layout.rows, signal } = options;
    let row = from;
    if (layout.rows > 1 && to - from === 1) {
      const first = from - (from % TABLE_ROWS);
      const chunk = await this.take(name, first, layout);
      if (chunk && from - first < chunk.rows) yield cut(chunk, layout, from - first, 1);
      else for await (const chunk of await this.fetch(name, options)) yield await this.convert(name, chunk, layout);
      return;
    }
    while (row < to) {
      signal?.throwIfAborted();
      const chunk = await this.take(name, row, layout);
      if (!chunk) break;
      yield chunk.rows <= to - row ? chunk : cut(chunk, layout, 0, to - row);
      row += chunk.rows;
    }
    if (row >= to) return;
    for await (const stored of await this.fetch(name, { ...options, from: row, to })) {
      const chunk = await this.convert(name, stored, layout);
      const bytes = chunk.bytes.length + (chunk.scales?.length ?? 0);
      const written = this.write(`${name}.${row}`, chunk).finally(() => {
        this.writing.delete(written);
        this.held -= bytes;
      });
      this.writing.add(written);
      this.held += bytes;
      yield chunk;
      while (this.writing.size >= WRITES || this.held >= WRITTEN_BYTES) await Promise.race(this.writing);
      row += chunk.rows;
    }
  }

  /** Makes the copy of a table complete, of which single rows are asked for. */
  async keepTable(name: string, as: "f32" | "f16", signal?: AbortSignal): Promise<void> {
    const { begin, end, shape } = this.info(name);
    const chunkBytes = ((end - begin) / shape[0]) * TABLE_ROWS;
    for await (const _ of this.rows(name, { as, chunkBytes, signal })) signal?.throwIfAborted();
  }

  /** Resolves when nothing is on its way into the folder any more. */
  async written(): Promise<void> {
    await Promise.all(this.writing);
    this.close();
  }

  /** Ends the threads that round. They start anew where something is left to be rounded. */
  close(): void {
    this.rounding.close();
  }

  private async convert(name: string, chunk: FloatChunk, { as, dtype, width }: Layout): Promise<RowChunk> {
    return as === "f32" || chunk.dtype === dtype ? chunk : this.rounding.round(chunk, width, as, name);
  }

  private async fetch(name: string, options: RowsOptions): Promise<AsyncIterable<FloatChunk>> {
    const origin = await this.options.origin(options.signal);
    const [wanted, found] = [this.info(name), origin.info(name)];
    if (wanted.dtype !== found.dtype || wanted.shape.join() !== found.shape.join()) {
      throw mismatch(
        "storage",
        name,
        `${wanted.dtype} [${wanted.shape.join(", ")}] as in the browser's cache`,
        `${found.dtype} [${found.shape.join(", ")}] on the server`,
        "delete the cached model and load it again",
      );
    }
    if (this.source !== origin) origin.plan(this.planned);
    this.source = origin;
    // Not in memory of the load's: a chunk is written while the next one comes.
    return origin.rows(name, { ...options, room: undefined });
  }

  /** The chunk of rows that begins at `first`, or undefined where it is not to be had. */
  private async take(name: string, first: number, layout: Layout): Promise<RowChunk | undefined> {
    const file = `${name}.${first}`;
    // Not looked for in the folder: a browser may answer only when all that is on its way there has been written.
    if (!this.options.present.has(file) && !this.files.has(file)) return undefined;
    let found: unknown;
    try {
      const bytes = await this.read(file);
      if (!bytes) return undefined;
      const rows = bytes.length / (layout.codes + layout.scales);
      if (Number.isInteger(rows) && rows > 0 && first + rows <= layout.rows) {
        this.files.add(file);
        return decode(bytes, rows, layout);
      }
      found = mismatch(
        "storage",
        file,
        "whole rows",
        `${bytes.length} bytes in the browser's cache`,
        "it is fetched again",
      );
    } catch (error) {
      found = error;
    }
    this.options.onWarning((found as Error).message);
    await this.options.folder.remove(file).catch(() => {});
    return undefined;
  }

  /** A file's contents, while those that follow it are on their way. */
  private read(file: string): Promise<Uint8Array | undefined> {
    const { order, folder } = this.options;
    const start = (name: string) => {
      const bytes = folder.read(name);
      bytes.catch(() => {}); // told when it is asked for
      this.ahead.set(name, bytes);
      return bytes;
    };
    const bytes = this.ahead.get(file) ?? start(file);
    const at = order.indexOf(file);
    if (at >= 0) for (const next of order.slice(at + 1, at + 1 + AHEAD)) if (!this.ahead.has(next)) start(next);
    this.ahead.delete(file);
    return bytes;
  }

  /** Writes a file; what goes wrong is told once. */
  private async write(file: string, chunk: RowChunk): Promise<void> {
    try {
      if (this.lacking) return;
      await this.options.folder.add(file, chunk.bytes, ...(chunk.scales ? [chunk.scales] : []));
      this.files.add(file);
    } catch (error) {
      if (this.lacking) return;
      this.lacking = true;
      const { message } = mismatch(
        "storage",
        "the browser's cache",
        "to keep the weights",
        `that it takes no more (${reasonOf(error)})`,
        "what is missing is fetched again at the next visit",
      );
      this.options.onWarning(message);
    }
  }
}

/** How the rows of a tensor are kept: `codes` and `scales` bytes each. */
interface Layout {
  readonly as: StoredDType;
  readonly dtype: RowChunk["dtype"];
  readonly rows: number;
  readonly width: number;
  readonly codes: number;
  readonly scales: number;
}

/** Float32 is wanted as it is stored; F64 leaves a checkpoint as F32. */
function layoutOf({ dtype: stored, shape }: TensorInfo, as: StoredDType): Layout {
  const rows = shape.length > 1 ? shape[0] : 1;
  const width = size(shape.length > 1 ? shape.slice(1) : shape);
  const dtype = (as !== "f32" ? as.toUpperCase() : stored === "F64" ? "F32" : stored) as RowChunk["dtype"];
  const groups = padded(width) / GROUP;
  const packed = dtype === "Q8" || dtype === "Q4";
  const codes = { F32: 4 * width, F16: 2 * width, BF16: 2 * width, Q8: 32 * groups, Q4: 16 * groups }[dtype];
  return { as, dtype, rows, width, codes, scales: packed ? 2 * groups : 0 };
}

/** A file's contents: the codes of all rows, then their scales. */
function decode(bytes: Uint8Array, rows: number, { dtype, codes, scales }: Layout): RowChunk {
  const chunk = { dtype, rows, bytes: bytes.subarray(0, rows * codes) };
  return (scales ? { ...chunk, scales: bytes.subarray(rows * codes) } : chunk) as RowChunk;
}

function cut({ dtype, bytes, scales }: RowChunk, layout: Layout, from: number, rows: number): RowChunk {
  const part = (of: Uint8Array, each: number) => of.subarray(from * each, (from + rows) * each);
  const chunk = { dtype, rows, bytes: part(bytes, layout.codes) };
  return (scales ? { ...chunk, scales: part(scales, layout.scales) } : chunk) as RowChunk;
}
