import type { Backend } from "../../src/tensor/backend.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import type { AttentionName, LinearName } from "../../src/tensor/webgpu/tiles.ts";
import { onGpu } from "../harness/cases.ts";
import { checkGolden, goldenTowers, openGolden } from "../harness/golden.ts";
import { BOUND } from "../judge/bounds.ts";

/** Holds both towers of a case in f32 to its golden file. */
export async function holdGolden(name: string, backend: Backend, bound: number): Promise<void> {
  const golden = await openGolden(name);
  const towers = await goldenTowers(golden, backend, "f32");
  await checkGolden(golden, towers, { bound, label: `${backend.name} ${name}` });
}

/** A test of one case on webgpu in forms that a GPU's trial chooses among. */
export function goldenInForms(name: string, linear: LinearName, attention: AttentionName): void {
  onGpu(`${name} on webgpu, ${linear} and ${attention}`, { precision: "f32" }, async ({ device }) => {
    const backend = new WebGpuBackend(device, { linear, attention });
    await holdGolden(name, backend, BOUND.f32);
    backend.dispose();
  });
}
