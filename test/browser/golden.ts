// What runs in the page: golden cases and the operations' own, judged there by what judges them in Node.

import { browserThreads } from "../../src/browser/threads.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { open } from "../../src/tensor/wasm/open.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { type OpenedDevice, openDevice } from "../../src/tensor/webgpu/device.ts";
import { SOFTWARE } from "../../src/tensor/webgpu/options.ts";
import { keepPipelines } from "../harness/pipelines.ts";
import { BOUND, GATE } from "../judge/bounds.ts";
import { compare } from "../judge/compare.ts";
import { checkGolden, cosineLoss, type Errors, goldenTowers, readGolden } from "../judge/golden.ts";
import { cases, poison } from "../tensor/conformance.ts";

let opened: OpenedDevice | undefined;
/** Errors that no scope of the library caught. */
const uncaptured: string[] = [];

async function device(): Promise<GPUDevice> {
  if (opened) return opened.device;
  opened = await openDevice(navigator.gpu);
  if (!opened) throw new Error("A WebGPU adapter was wanted in the page, found none.");
  keepPipelines(opened.device);
  opened.device.onuncapturederror = ({ error }) => void uncaptured.push(error.message);
  return opened.device;
}

const backends = {
  cpu: async () => new CpuBackend(),
  webgpu: async () => new WebGpuBackend(await device(), SOFTWARE),
  async wasm(dtype: WeightDType): Promise<Backend> {
    const options = { named: true, chosenForms: () => new Map(), gpu: async () => undefined, withoutGpu: () => "" };
    return (await open({ ...options, dtype, threading: browserThreads }))!.backend;
  },
};

/**
 * Runs a golden case of the site's folder `golden` and throws unless it holds: all hidden states, outputs and logits in f32; the
 * loss of cosine alone in other precisions, which is compared with its bound by the caller. Returns what was found.
 */
async function judge(name: string, where: "cpu" | "wasm" | "webgpu", dtype: WeightDType): Promise<Errors> {
  const config = await (await fetch(`/golden/${name}/config.json`)).text();
  const file = new Uint8Array(await (await fetch(`/golden/${name}/golden.safetensors`)).arrayBuffer());
  const golden = await readGolden(name, config, file);
  const backend = await backends[where](dtype);
  const towers = await goldenTowers(golden, backend, dtype);
  const errors =
    dtype === "f32"
      ? await checkGolden(golden, towers, { bound: where === "cpu" ? BOUND.cpu : BOUND.f32, label: `${where} ${name}` })
      : await cosineLoss(golden, towers);
  backend.dispose();
  if (uncaptured.length > 0) throw new Error(`Uncaptured WebGPU errors: ${uncaptured.join(" ")}`);
  return { ...errors };
}

/**
 * Runs the operations' cases in f32 on poisoned buffers, attention with at most so many features a head; throws for the first that
 * is wrong. Returns how many there were.
 */
async function conform(head: number): Promise<number> {
  const backend = new WebGpuBackend(await device(), SOFTWARE);
  const some = cases.filter(({ attended }) => (attended?.head ?? 0) <= head);
  for (const one of some) {
    await poison(backend);
    const { actual, expected, shape } = await one.run(backend, "f32");
    compare(actual, expected, { shape, label: `webgpu ${one.name}`, gate: GATE.f32 });
  }
  backend.dispose();
  if (uncaptured.length > 0) throw new Error(`Uncaptured WebGPU errors: ${uncaptured.join(" ")}`);
  return some.length;
}

const goldenInPage = { judge, conform };
declare global {
  var siglipGolden: typeof goldenInPage;
}
globalThis.siglipGolden = goldenInPage;
