import { openCheckpoint } from "../../src/files/read-model.ts";
import type { SiglipConfig } from "../../src/model/config.ts";
import { loadTowers } from "../../src/model/towers.ts";
import { folderFiles } from "../../src/node/folder.ts";
import { findGpu } from "../../src/node/gpu.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import type { RowChunk } from "../../src/tensor/packing.ts";
import { Recorder, type WeightDType } from "../../src/tensor/program.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { openDevice } from "../../src/tensor/webgpu/device.ts";
import { deviceOptions } from "../../src/tensor/webgpu/open.ts";
import { arrived } from "../lib/arrived.ts";
import { openWasm } from "../lib/wasm.ts";
import type { ModelFiles } from "./files.ts";
import { type Layer, normalised, type Pictures, sampled } from "./inputs.ts";
import type { Loaded } from "./measure.ts";

/** What the adapter says of itself. */
export interface Adapter {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
  readonly features: string[];
}

/** The adapter that our own runs use; undefined where there is none. */
export async function ourAdapter(): Promise<Adapter | undefined> {
  const opened = await openDevice(await findGpu());
  if (!opened) return undefined;
  const { vendor, architecture, device, description } = opened.info;
  const features = [...opened.device.features].sort();
  return { vendor, architecture, device, description, software: opened.software, features };
}

/** One of our backends. */
export interface Ours {
  readonly name: "cpu" | "wasm" | "webgpu";
  readonly dtype: WeightDType;
  readonly threads?: number;
}

/** As `Siglip.load` opens it; kernel forms are tried anew, none are remembered. */
async function open({ name, dtype, threads }: Ours): Promise<{ backend: Backend; on?: string }> {
  if (name === "cpu") return { backend: new CpuBackend() };
  if (name === "wasm") return openWasm(dtype, threads);
  const opened = await openDevice(await findGpu());
  if (!opened) throw new Error("a WebGPU adapter was wanted, none found");
  return { backend: new WebGpuBackend(opened.device, deviceOptions(opened.device, opened.software, dtype)) };
}

/** Our image tower, from a safetensors file. */
export async function ourTower(
  ours: Ours,
  config: SiglipConfig,
  { checkpoint }: ModelFiles,
  { pixels, width }: Pictures,
): Promise<Loaded> {
  const { backend, on } = await open(ours);
  const files = await folderFiles(checkpoint);
  const towers = await loadTowers(backend, await openCheckpoint(files), config, {
    dtype: ours.dtype,
    towers: ["image"],
  });
  await files.close();
  // A first small read, so that everything uploaded has arrived.
  await arrived(backend);
  const run = async () => normalised((await towers.image(pixels)).data, width);
  return { on, output: run, run };
}

/** One linear layer of ours. A timed run waits for the result by reading its last row. */
export async function ourLayer(ours: Ours, layer: Layer): Promise<Loaded> {
  const { rows, depth, out } = layer;
  const { backend, on } = await open(ours);
  const weight = { name: "fc1", shape: [out, depth], dtype: ours.dtype };
  const bias = { name: "bias", shape: [out], dtype: "f32" } as const;
  const input = { name: "x", shape: [rows, depth], dtype: "f32" } as const;
  await backend.weight(weight, chunk(layer));
  backend.constant(bias, layer.bias);
  backend.constant(input, layer.x);
  await backend.loaded();
  const whole = new Recorder();
  whole.output("y", whole.linear(input, { weight, bias }));
  const timed = new Recorder();
  timed.output("y", timed.rows(timed.linear(input, { weight, bias }), [rows - 1]));
  const [all, last] = [whole.finish(), timed.finish()];
  return {
    on,
    output: async () => sampled((await backend.run(all, {})).y, out),
    run: () => backend.run(last, {}),
  };
}

async function* chunk({ weight, out }: Layer): AsyncGenerator<RowChunk> {
  yield { dtype: "F32", rows: out, bytes: new Uint8Array(weight.buffer) };
}
