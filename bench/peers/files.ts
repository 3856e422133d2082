import { statSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { SiglipConfig } from "../../src/model/config.ts";
import { writeFileAtomic } from "../../src/node/file.ts";
import { float32ToHalf } from "../../src/support/numbers.ts";
import { syntheticData, syntheticShapes } from "../../test/judge/synthetic.ts";
import type { DType, External } from "./onnx.ts";
import { type Attention, imageTower } from "./tower.ts";

/** Survives the `npm ci` in this folder. */
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/siglip/peers", import.meta.url));
const GOLDEN = fileURLToPath(new URL("../../test/golden/", import.meta.url));

/** The same image tower for everybody. */
export interface ModelFiles {
  /** For us and for PyTorch: `model.safetensors`, in the precision that is measured, and `config.json`. */
  readonly folder: string;
  /** For onnxruntime: the graph with attention written in either way, and their external weights. */
  readonly onnx?: Record<Attention, Graph> & { readonly weights: string };
}

/** An ONNX file, and how many nodes of each type it has. */
export interface Graph {
  readonly path: string;
  readonly nodes: Record<string, number>;
}

interface OnnxProto {
  onnx: { ModelProto: { encode(model: object): { finish(): Uint8Array } } };
}

/**
 * Writes what is missing; the weights are written once and kept (so400m-384: 1.7 GB in f32, 0.9 GB in f16, as safetensors and,
 * if `onnx`, for onnxruntime).
 */
export async function modelFiles(
  name: string,
  config: SiglipConfig,
  dtype: DType,
  batch: number,
  onnx: boolean,
): Promise<ModelFiles> {
  const folder = join(CACHE, `${name}-${dtype}`);
  await mkdir(folder, { recursive: true });
  const checkpoint = join(folder, "model.safetensors");
  if (sizeOf(checkpoint) === undefined) {
    await writeFileAtomic(checkpoint, writeSafetensors(tensors(config, dtype), [["format", "pt"]]));
  }
  await copyFile(join(GOLDEN, name, "config.json"), join(folder, "config.json"));

  if (!onnx) return { folder };
  const weights = join(folder, "weights.bin");
  const { onnx: proto } = ((await import("onnx-proto" as string)) as { default: OnnxProto }).default;
  const write = async (attention: Attention) => {
    const { model, external, nodes } = imageTower(config.vision, { dtype, batch, attention, file: "weights.bin" });
    const last = external.at(-1)!;
    if (sizeOf(weights) !== last.offset + last.bytes) await writeFileAtomic(weights, padded(external));
    const path = join(folder, `${attention}-batch-${batch}.onnx`);
    await writeFile(path, proto.ModelProto.encode(model).finish());
    return { path, nodes };
  };
  return { folder, onnx: { fused: await write("fused"), plain: await write("plain"), weights } };
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function* tensors(config: SiglipConfig, dtype: DType) {
  const shapes = [...syntheticShapes(config)].filter(([name]) => !name.startsWith("text_model."));
  for (const tensor of syntheticData(new Map(shapes))) {
    yield dtype === "f32"
      ? tensor
      : { ...tensor, dtype: "F16" as const, data: halves(tensor.data as Iterable<Uint8Array>) };
  }
}

function* halves(chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const { buffer } of chunks) yield new Uint8Array(float32ToHalf(new Float32Array(buffer)).buffer);
}

function* padded(external: readonly External[]): Generator<Uint8Array> {
  let at = 0;
  for (const { offset, make } of external) {
    if (offset > at) yield new Uint8Array(offset - at);
    const bytes = make();
    yield bytes;
    at = offset + bytes.length;
  }
}
