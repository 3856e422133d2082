import { findGpu } from "../../src/node/gpu.ts";
import { type Layer, sampled, transposed } from "./inputs.ts";
import type { DType, Loaded } from "./measure.ts";
import { giveWorkers } from "./workers.ts";

interface JaxArray {
  /** Another reference: an operation consumes the one it is given. */
  readonly ref: JaxArray;
  add(other: JaxArray): JaxArray;
  astype(dtype: string): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** What we use of @jax-js/jax. */
interface Jax {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): string;
  blockUntilReady(array: JaxArray): Promise<JaxArray>;
  jit(f: (...args: JaxArray[]) => JaxArray): (...args: JaxArray[]) => JaxArray;
  numpy: {
    float16: string;
    float32: string;
    array(data: Float32Array, options: { shape: number[] }): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
  };
}

/** One linear layer through jax-js, compiled by its `jit`. */
export async function jaxLayer(device: "wasm" | "webgpu", dtype: DType, layer: Layer, threads = 1): Promise<Loaded> {
  // It has as many workers as `navigator` has cores, where there is a `Worker`; else all is done in the caller's thread.
  if (threads > 1) giveWorkers(threads);
  // jax-js looks for WebGPU in a page only; Node gets the same Dawn that we use.
  if (device === "webgpu") {
    const navigator = { gpu: await findGpu(), userAgent: "Node" };
    Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  }
  const { init, defaultDevice, blockUntilReady, jit, numpy: np } = (await import("@jax-js/jax" as string)) as Jax;
  if (!(await init(device)).includes(device))
    throw new Error(`jax-js was asked for ${device} and does not find it here`);
  defaultDevice(device);
  const { rows, depth, out } = layer;
  const place = async (data: Float32Array, shape: number[]) => {
    const array = np.array(data, { shape });
    return blockUntilReady(dtype === "f16" ? array.astype(np.float16) : array);
  };
  const x = await place(layer.x, [rows, depth]);
  const weight = await place(transposed(layer.weight, out, depth), [depth, out]);
  const bias = await place(layer.bias, [out]);
  const linear = jit((a, w, b) => np.matmul(a, w).add(b));
  const apply = () => linear(x.ref, weight.ref, bias.ref);
  return {
    output: async () => sampled(await apply().astype(np.float32).data(), out),
    run: async () => (await blockUntilReady(apply())).dispose(),
  };
}
