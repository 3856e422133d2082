import { readdir, readlink } from "node:fs/promises";
import type { ModelFiles } from "./files.ts";
import { normalised, type Pictures } from "./inputs.ts";
import type { Loaded } from "./measure.ts";
import { INPUT, OUTPUT } from "./tower.ts";

interface OrtTensor {
  readonly data: Float32Array;
}

/** What we use of onnxruntime-node and onnxruntime-web alike. */
interface Ort {
  env: { wasm: { numThreads: number } };
  Tensor: new (type: "float32", data: Float32Array, shape: readonly number[]) => OrtTensor;
  InferenceSession: {
    create(
      path: string,
      options: object,
    ): Promise<{ run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>> }>;
  };
}

const WEBGPU = {
  name: "onnxruntime-node",
  // No node falls back to the CPU unseen: the session would not be made.
  options: { executionProviders: ["webgpu"], extra: { session: { disable_cpu_ep_fallback: "1" } } },
};
/** The package and the session options by which onnxruntime runs a graph in each way. */
const WAYS = {
  "ort-cpu": { name: "onnxruntime-node", options: { executionProviders: ["cpu"] } },
  "ort-webgpu": WEBGPU,
  "ort-webgpu-plain": WEBGPU,
  "ort-wasm": { name: "onnxruntime-web", options: { executionProviders: ["wasm"] } },
};

/** The names of the ways to run onnxruntime. */
export type OrtEngine = keyof typeof WAYS;

/** The tower through onnxruntime, with all graph optimisations. */
export async function ortTower(
  engine: OrtEngine,
  { onnx }: ModelFiles,
  pictures: Pictures,
  threads: number | undefined,
): Promise<Loaded> {
  const { name, options } = WAYS[engine];
  const module = (await import(name)) as Ort & { default?: Ort };
  const { InferenceSession, Tensor, env } = module.default ?? module;
  if (engine === "ort-wasm" && threads) env.wasm.numThreads = threads;
  const session = await InferenceSession.create(onnx![engine.endsWith("-plain") ? "plain" : "fused"]!.path, {
    ...options,
    ...(engine === "ort-cpu" && threads && { intraOpNumThreads: threads }),
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    // The native package finds the weights beside the graph by itself.
    ...(engine === "ort-wasm" && { externalData: [{ path: "weights.bin", data: onnx!.weights }] }),
  });
  const run = async () => {
    const feeds = { [INPUT]: new Tensor("float32", pictures.pixels, pictures.shape) };
    return normalised((await session.run(feeds))[OUTPUT].data, pictures.width);
  };
  return { on: engine.startsWith("ort-webgpu") ? await adapterNote() : undefined, output: run, run };
}

/**
 * onnxruntime says nowhere which adapter it took. On Linux the device files that the process holds open tell which it can have
 * been; a software adapter has none.
 */
async function adapterNote(): Promise<string> {
  const links = (await readdir("/proc/self/fd").catch(() => [])).map((fd) => readlink(`/proc/self/fd/${fd}`));
  const open = (await Promise.allSettled(links)).flatMap((link) => (link.status === "fulfilled" ? [link.value] : []));
  const devices = [...new Set(open)].filter((path) => /^\/dev\/(nvidia\d|dri\/|dxg|kfd)/.test(path)).sort();
  const held = process.platform === "linux" ? `; device files open: ${devices.join(", ") || "none"}` : "";
  return `onnxruntime does not tell its adapter${held}`;
}
