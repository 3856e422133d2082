import { statSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { SiglipConfig } from "../../src/model/config.ts";
import { writeFileAtomic } from "../../src/node/file.ts";
import { float32ToHalf } from "../../src/support/numbers.ts";
import { syntheticData, syntheticShapes } from "../../test/judge/synthetic.ts";
import type { DType } from "./measure.ts";
import type { External, Float } from "./onnx.ts";
import { type Attention, imageTower } from "./tower.ts";

/** Survives the `npm ci` in this folder. */
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/siglip/peers", import.meta.url));
const GOLDEN = fileURLToPath(new URL("../../test/golden/", import.meta.url));

/** The same image tower for everybody. */
export interface ModelFiles {
  /** Where files may be put. */
  readonly folder: string;
  /** For us and for PyTorch: a folder of `model.safetensors`, in float32 or in the float16 that is measured, and `config.json`. */
  readonly checkpoint: string;
  /** For onnxruntime: the graph with attention written in either way, if there are both, and their external weights. */
  readonly onnx?: { readonly fused: Graph; readonly plain?: Graph; readonly weights: string };
}

/** An ONNX file, and how many nodes of each type it has. */
export interface Graph {
  readonly path: string;
  readonly nodes: Record<string, number>;
}

interface OnnxProto {
  onnx: { ModelProto: { encode(model: object): { finish(): Uint8Array } } };
}

/** The case whose weights may be at hand, as SIGLIP_FULL_DIR says. */
const REAL = "so400m-384";

/**
 * Writes what is missing; the weights are written once and kept (so400m-384: 1.7 GB in f32, 0.9 GB in f16, as safetensors and,
 * if `onnx`, for onnxruntime, for which there are 0.5 GB in int8 and 0.3 GB in int4, too).
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
  const checkpoint = (name === REAL && process.env.SIGLIP_FULL_DIR) || (await ownCheckpoint(name, config, dtype));
  if (!onnx) return { folder, checkpoint };

  const weights = join(folder, "weights.bin");
  const { onnx: proto } = ((await import("onnx-proto" as string)) as { default: OnnxProto }).default;
  const product = dtype === "int8" || dtype === "int4" ? dtype : "float";
  const options = { dtype: dtype === "f16" ? dtype : "f32", product, batch, file: "weights.bin" } as const;
  const write = async (attention: Attention) => {
    const { model, external, nodes } = imageTower(config.vision, { ...options, attention });
    const last = external.at(-1)!;
    if (sizeOf(weights) !== last.offset + last.bytes) await writeFileAtomic(weights, padded(external));
    const path = join(folder, `${attention}-batch-${batch}.onnx`);
    await writeFile(path, proto.ModelProto.encode(model).finish());
    return { path, nodes };
  };
  const fused = await write("fused");
  return {
    folder,
    checkpoint,
    onnx: { fused, plain: product === "float" ? await write("plain") : undefined, weights },
  };
}

/** All but the measurement of float16 starts from float32. */
async function ownCheckpoint(name: string, config: SiglipConfig, dtype: DType): Promise<string> {
  const precision = dtype === "f16" ? "f16" : "f32";
  const folder = join(CACHE, `${name}-${precision}`);
  await mkdir(folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  if (sizeOf(path) === undefined) {
    await writeFileAtomic(path, writeSafetensors(tensors(config, precision), [["format", "pt"]]));
  }
  await copyFile(join(GOLDEN, name, "config.json"), join(folder, "config.json"));
  return folder;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function* tensors(config: SiglipConfig, dtype: Float) {
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
