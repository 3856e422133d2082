import { mismatch } from "../support/error.ts";
import { type FloatDType, toFloat32 } from "../support/numbers.ts";
import type { FloatChunk } from "../tensor/packing.ts";
import type { DType } from "./dtype.ts";
import { missingTensor } from "./missing.ts";
import { readHeader, type TensorInfo } from "./read-safetensors.ts";
import { type Room, readParts, type Source } from "./source.ts";

/** Which shard holds which tensor: what `model.safetensors.index.json` says. */
export interface IndexJson {
  /** The distinct shard file names, in the order of their first mention; none has a path component. */
  readonly files: readonly string[];
  /** Tensor name to shard file name. */
  readonly weightMap: ReadonlyMap<string, string>;
}

/** One tensor of a checkpoint and the file it lies in. */
export interface CheckpointTensor extends TensorInfo {
  readonly source: Source;
}

/** Which rows to read, and how. */
export interface RowsOptions {
  /** The first row, from 0. */
  readonly from?: number;
  /** The row to stop before; the tensor's last by default. */
  readonly to?: number;
  /** How many stored bytes a chunk holds at most, as far as whole rows allow: 4 MiB by default. */
  readonly chunkBytes?: number;
  readonly signal?: AbortSignal;
  /** Memory that chunks may come in, one at a time: each is then overwritten when the next is asked for. */
  readonly room?: Room;
}

/**
 * The named tensors of one safetensors file or of all shards of a model. Only headers are read before tensors are asked
 * for.
 */
export class Checkpoint {
  /** Every tensor of every file, by name. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  private readonly where: string;

  private constructor(tensors: ReadonlyMap<string, CheckpointTensor>, where: string) {
    this.tensors = tensors;
    this.where = where;
  }

  /**
   * Reads the header of every file. With an index, the sources are its shards in any order, told apart by the last
   * component of their names. Rejects with a SiglipError for a malformed file, a tensor that two files hold, and where
   * the files and the index do not match.
   */
  static async open(sources: readonly Source[], index?: IndexJson, signal?: AbortSignal): Promise<Checkpoint> {
    if (sources.length === 0) {
      throw mismatch("bad-input", "Checkpoint.open", "a checkpoint's files", "none", "name at least one");
    }
    if (index) checkShards(sources, index);
    const tensors = new Map<string, CheckpointTensor>();
    for (const source of sources) {
      const header = await readHeader(source, signal);
      for (const [name, info] of header.tensors) {
        const other = tensors.get(name);
        if (other) {
          throw mismatch(
            "bad-checkpoint",
            source.name,
            "every tensor once",
            `${quote(name)} in ${other.source.name} too`,
            "fetch the model again",
          );
        }
        tensors.set(name, { ...info, source });
      }
    }
    for (const [name, file] of index?.weightMap ?? []) {
      const found = tensors.get(name)?.source;
      if (!found || fileName(found) !== file) {
        throw mismatch(
          "bad-checkpoint",
          file,
          `the tensor ${quote(name)}, which the index says it holds`,
          found ? `that it lies in ${fileName(found)}` : "that no file has it",
          "fetch the model again",
        );
      }
    }
    return new Checkpoint(tensors, sources.length === 1 ? sources[0].name : `${sources[0].name} and its other shards`);
  }

  /** Where a tensor lies, its dtype and shape. Throws a SiglipError where the checkpoint has no such tensor. */
  info(name: string): CheckpointTensor {
    const info = this.tensors.get(name);
    if (info) return info;
    const advice = "fetch all of the model again, as Hugging Face lays it out";
    throw missingTensor(this.where, name, [...this.tensors.keys()], advice);
  }

  /** The same tensors under other names. */
  renamed(to: (name: string) => string): Checkpoint {
    const tensors = new Map<string, CheckpointTensor>();
    for (const [name, info] of this.tensors) tensors.set(to(name), { ...info, name: to(name) });
    return new Checkpoint(tensors, this.where);
  }

  /**
   * Tells the sources that these tensors are about to be read, in no certain order; none of them where that is over.
   */
  plan(names: Iterable<string>): void {
    const wanted = new Set(names);
    const ranges = new Map<Source, TensorInfo[]>();
    for (const [name, info] of this.tensors) {
      if (!ranges.has(info.source)) ranges.set(info.source, []);
      if (wanted.has(name)) ranges.get(info.source)!.push(info);
    }
    for (const [source, infos] of ranges) source.plan?.(infos);
  }

  /**
   * The rows of a tensor in order, in chunks of whole rows. A row is what one index of the first axis holds; a tensor
   * of one axis or none is a single row. F64 is rounded to F32, the other floats come as stored; integers and 8-bit
   * floats are no weights and are refused with a SiglipError. No more than one chunk (and never less than one row) is
   * held.
   */
  async *rows(name: string, options: RowsOptions = {}): AsyncGenerator<FloatChunk> {
    const info = this.info(name);
    const dtype = floatDType(info);
    const rows = info.shape.length > 1 ? info.shape[0] : 1;
    const { from = 0, to = rows, chunkBytes = 4 * 2 ** 20, signal, room } = options;
    if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && 0 <= from && from <= to && to <= rows)) {
      throw mismatch("bad-input", name, `rows ${from} to ${to}`, `${rows} rows`, "ask for a range within them");
    }
    const rowBytes = rows === 0 ? 0 : (info.end - info.begin) / rows;
    if (rowBytes === 0) {
      if (from < to) yield { dtype: dtype === "F64" ? "F32" : dtype, rows: to - from, bytes: new Uint8Array(0) };
      return;
    }
    const step = Math.max(1, Math.floor(chunkBytes / rowBytes) || 1) * rowBytes;
    const range = { begin: info.begin + from * rowBytes, end: info.begin + to * rowBytes };
    for await (const bytes of readParts(info.source, range, step, signal, room)) {
      const count = bytes.length / rowBytes;
      if (dtype === "F64") yield { dtype: "F32", rows: count, bytes: asBytes(toFloat32(bytes, dtype)) };
      else yield { dtype, rows: count, bytes };
    }
  }

  /** A whole tensor as float32, row-major; its memory is the tensor's size. Refuses what `rows` refuses. */
  async read(name: string, signal?: AbortSignal): Promise<Float32Array> {
    const info = this.info(name);
    const dtype = floatDType(info);
    return toFloat32(await info.source.read(info.begin, info.end - info.begin, signal), dtype);
  }
}

/**
 * Reads the text of `model.safetensors.index.json`, 4 Mi characters at most. Throws a SiglipError for invalid JSON,
 * and for a shard whose name is not that of a `.safetensors` file in the same folder: no path, no drive, no `..`, no
 * half of a surrogate pair, which no URL can carry. Memory: at most 64 bytes a character.
 */
export function parseIndex(text: string, name = "model.safetensors.index.json"): IndexJson {
  const limit = 2 ** 22;
  if (text.length > limit) {
    throw mismatch("bad-checkpoint", name, `at most ${limit} characters`, `${text.length}`, "fetch the file again");
  }
  const fail = (found: string, cause?: unknown) => {
    const wanted = 'JSON with a "weight_map" from tensor names to names of shard files in its own folder';
    return mismatch("bad-checkpoint", name, wanted, found, "fetch the file again", cause);
  };
  let map: unknown;
  try {
    map = JSON.parse(text)?.weight_map;
  } catch (cause) {
    throw fail("text that is not JSON", cause);
  }
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw fail("none");
  }
  const weightMap = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || !/^(?!\.)[^/\\:%?#\p{Cc}\p{Cs}]{1,200}\.safetensors$/u.test(file)) {
      const found = typeof file === "string" ? quote(file) : "no text";
      throw fail(`${found} for the tensor ${quote(tensor)}`);
    }
    weightMap.set(tensor, file);
  }
  if (weightMap.size === 0) throw fail("an empty one");
  return { files: [...new Set(weightMap.values())], weightMap };
}

function checkShards(sources: readonly Source[], index: IndexJson): void {
  const given = sources.map(fileName);
  for (const file of index.files) {
    const count = given.filter((name) => name === file).length;
    if (count !== 1) {
      throw mismatch(
        "bad-checkpoint",
        file,
        "this shard once, as the index says",
        `it ${count} times among ${given.length} files`,
        "fetch the missing shards",
      );
    }
  }
  const extra = given.find((name) => !index.files.includes(name));
  if (extra !== undefined) {
    throw mismatch("bad-checkpoint", extra, "only shards that the index names", "this file too", "leave it out");
  }
}

/** A stranger's name, on one line and short enough for a sentence. */
function quote(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}

/** The last component of a source's name, be it a path, a URL or a file's name. */
function fileName(source: Source): string {
  const path = source.name.includes("://") ? source.name.replace(/[?#].*$/s, "") : source.name;
  return path.replace(/^.*[/\\]/s, "");
}

function floatDType({ name, dtype, source }: CheckpointTensor): FloatDType {
  if (isFloat(dtype)) return dtype;
  throw mismatch(
    "unsupported",
    source.name,
    `${name} as F64, F32, F16 or BF16`,
    `${dtype}`,
    "choose a checkpoint that is not quantised",
  );
}

function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === "F64" || dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

function asBytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
