import { mismatch } from "../support/error.ts";
import type { FloatDType } from "../support/numbers.ts";
import { float32ToHalf, toFloat32 } from "../support/numbers.ts";
import type { FloatChunk } from "../tensor/packing.ts";
import type { Checkpoint, CheckpointTensor } from "./checkpoint.ts";
import { elementSize } from "./dtype.ts";
import { Room } from "./source.ts";
import { type TensorData, writeSafetensors } from "./write-safetensors.ts";

/** Precisions that a checkpoint is written in. */
export type WrittenDType = "f32" | "f16" | "bf16";

/** One file to write. */
export interface WrittenFile {
  readonly name: string;
  readonly chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** How tensors are written. */
export interface ShardOptions {
  /** Precision of all but single values; as they are stored by default, F64 as F32. */
  readonly dtype?: WrittenDType;
  /** Most bytes of tensors in a file, but for a tensor that is larger by itself; all in one file by default. */
  readonly shardSize?: number;
  /** Told of the bytes that were written, and of all that will be. */
  readonly onProgress?: (written: number, total: number) => void;
  readonly signal?: AbortSignal;
}

const STORED = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/**
 * Tensors of a checkpoint as the files of Hugging Face's layout: `model.safetensors`, or shards and their index. Each
 * is to be written before the next is asked for; tensors come in the order in which they lie in their files, each
 * read once, and no more than a chunk of one is held. A weight that half precision cannot hold is refused with a
 * SiglipError.
 */
export function* writeShards(
  checkpoint: Checkpoint,
  names: Iterable<string>,
  options: ShardOptions = {},
): Generator<WrittenFile> {
  const sources = [...new Set([...checkpoint.tensors.values()].map(({ source }) => source))];
  const tensors = Array.from(names, (name) => checkpoint.info(name)).sort(
    (a, b) => sources.indexOf(a.source) - sources.indexOf(b.source) || a.begin - b.begin,
  );
  const { shardSize = Number.POSITIVE_INFINITY, onProgress } = options;
  const shards: CheckpointTensor[][] = [[]];
  let [total, room] = [0, shardSize];
  for (const tensor of tensors) {
    const bytes = writtenBytes(tensor, options);
    if (bytes > room && shards.at(-1)!.length > 0) {
      shards.push([]);
      room = shardSize;
    }
    shards.at(-1)!.push(tensor);
    room -= bytes;
    total += bytes;
  }
  checkpoint.plan(tensors.map(({ name }) => name));
  let written = 0;
  const onBytes = (bytes: number) => {
    written += bytes;
    onProgress?.(written, total);
  };
  const weightMap: [string, string][] = [];
  const count = String(shards.length).padStart(5, "0");
  for (const [index, shard] of shards.entries()) {
    const number = String(index + 1).padStart(5, "0");
    const name = shards.length === 1 ? "model.safetensors" : `model-${number}-of-${count}.safetensors`;
    const data = shard.map((tensor) => dataOf(checkpoint, tensor, options, onBytes));
    yield { name, chunks: writeSafetensors(data, [["format", "pt"]]) };
    for (const tensor of shard) weightMap.push([tensor.name, name]);
  }
  checkpoint.plan([]);
  if (shards.length === 1) return;
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(weightMap.sort()) };
  yield { name: "model.safetensors.index.json", chunks: [encode(index)] };
}

/** A value as the bytes of a JSON file. */
export function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Single values, logit_scale and logit_bias, cost nothing and shift every score: they are not rounded. */
function writtenDType({ dtype, shape }: CheckpointTensor, wanted?: WrittenDType): FloatChunk["dtype"] {
  const single = shape.every((axis) => axis === 1);
  if (wanted !== undefined) return single ? "F32" : STORED[wanted];
  return dtype === "F16" || dtype === "BF16" ? dtype : "F32";
}

function writtenBytes(tensor: CheckpointTensor, { dtype }: ShardOptions): number {
  return tensor.shape.reduce((product, axis) => product * axis, elementSize(writtenDType(tensor, dtype)));
}

function dataOf(
  checkpoint: Checkpoint,
  tensor: CheckpointTensor,
  { dtype: wanted, signal }: ShardOptions,
  onBytes: (bytes: number) => void,
): TensorData {
  const { name, shape } = tensor;
  const dtype = writtenDType(tensor, wanted);
  async function* data(): AsyncGenerator<Uint8Array> {
    for await (const chunk of checkpoint.rows(name, { signal, room: new Room() })) {
      const bytes = convert(chunk, dtype, name);
      yield bytes;
      onBytes(bytes.length);
    }
  }
  return { name, dtype, shape, data: data() };
}

function convert({ dtype, bytes }: FloatChunk, to: FloatChunk["dtype"], name: string): Uint8Array {
  if (dtype === to) return bytes;
  const values = toFloat32(bytes, dtype as FloatDType);
  if (to === "F32") return asBytes(values);
  if (to === "BF16") return asBytes(toBrain(values));
  const halves = float32ToHalf(values);
  const over = halves.findIndex((half, i) => (half & 0x7fff) === 0x7c00 && Number.isFinite(values[i]));
  if (over < 0) return asBytes(halves);
  throw mismatch("unsupported", name, "weights up to 65504 for f16", `${values[over]}`, "convert to bf16 or f32");
}

/** Float32 values to bfloat16 bits, rounded to nearest even; what is no number stays none. */
function toBrain(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const value = bits[i];
    const noNumber = (value & 0x7fffffff) > 0x7f800000;
    out[i] = noNumber ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return out;
}

function asBytes({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
