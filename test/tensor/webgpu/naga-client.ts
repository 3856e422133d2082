import { WebGpuBackend } from "../../../src/tensor/webgpu/backend.ts";
import { ATTENTION, type AttentionName, fits, LINEAR, type LinearName } from "../../../src/tensor/webgpu/tiles.ts";
import { attention, linear } from "../conformance.ts";

// Prints, for the portable forms on a runtime's own WebGPU, the normalised mean squared error of a case, or why there is none.

const HEAD = 72;
const adapter = await navigator.gpu.requestAdapter();
const { maxComputeWorkgroupStorageSize } = adapter!.limits;
const device = await adapter!.requestDevice({ requiredLimits: { maxComputeWorkgroupStorageSize } });
const portable = <Name extends string>(forms: Record<Name, { kernel: string; half?: boolean }>) =>
  (Object.keys(forms) as Name[]).filter((name) => !forms[name].half && !forms[name].kernel.endsWith("_matrix"));

const errors: Record<string, number | string> = {};
const runs = [
  ...portable<LinearName>(LINEAR).flatMap((name) =>
    (["f32", "q4"] as const).map((dtype) => ({
      dtype,
      pinned: { linear: name },
      one: linear([3, 25, 101], 129, { gelu: true, add: "item" }),
    })),
  ),
  ...portable<AttentionName>(ATTENTION)
    .filter((name) => fits(ATTENTION[name], HEAD, maxComputeWorkgroupStorageSize))
    .map((name) => ({ dtype: "f32" as const, pinned: { attention: name }, one: attention(2, 33, 33, 2, HEAD) })),
];
for (const { dtype, pinned, one } of runs) {
  const backend = new WebGpuBackend(device, pinned);
  const label = `${Object.values(pinned)} ${dtype}`;
  try {
    const { actual, expected } = await one.run(backend, dtype);
    const square = expected.reduce((sum, value) => sum + value ** 2, 0);
    errors[label] = expected.reduce((sum, value, i) => sum + (actual[i] - value) ** 2, 0) / square;
  } catch (error) {
    errors[label] = String(error);
  }
  backend.dispose();
}
console.log(JSON.stringify(errors));
