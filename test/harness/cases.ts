import { it, type TestContext } from "vitest";
import { type Gpu, gpuDevice } from "./gpu.ts";

/** What a case counts as in the tally that closes a run. */
export interface Tally {
  /** `cpu`, `webgpu`, … */
  backend: string;
  /** `f32`, `f16`, … */
  precision: string;
  /** The device it ran on. */
  adapter?: string;
}

declare module "vitest" {
  interface TaskMeta {
    siglip?: Tally;
  }
}

type Body<First extends unknown[]> = (...args: [...First, context: TestContext]) => void | Promise<void>;

/**
 * A test that counts under a backend and a precision. `skip` is a reason, known beforehand, not to run it; a body that finds
 * one calls `context.skip(reason)`. `timeout` is in milliseconds.
 */
export function tallied(
  name: string,
  { skip, timeout, ...siglip }: Tally & { skip?: string; timeout?: number },
  body: Body<[]>,
): void {
  it(name, { timeout, meta: { siglip } }, (context) => (skip === undefined ? body(context) : context.skip(skip)));
}

/**
 * A test of the webgpu backend on the test adapter. It is skipped, with the reason, where there is no adapter or the device
 * lacks one of `features`.
 */
export function onGpu(
  name: string,
  {
    precision,
    features = [],
    ...rest
  }: { precision: string; features?: readonly GPUFeatureName[]; skip?: string; timeout?: number },
  body: Body<[gpu: Gpu]>,
): void {
  tallied(name, { backend: "webgpu", precision, ...rest }, async (context) => {
    const gpu = await gpuDevice();
    if ("reason" in gpu) return context.skip(gpu.reason);
    context.task.meta.siglip!.adapter = gpu.label;
    const missing = features.filter((feature) => !gpu.device.features.has(feature));
    if (missing.length > 0) context.skip(`the adapter lacks ${missing.join(" and ")}`);
    await body(gpu, context);
  });
}
