import type { WeightDType } from "../../../src/tensor/program.ts";
import { WebGpuBackend } from "../../../src/tensor/webgpu/backend.ts";
import { capabilitiesOf } from "../../../src/tensor/webgpu/device.ts";
import type { WebGpuOptions } from "../../../src/tensor/webgpu/options.ts";
import { ATTENTION, fits, LINEAR, runs } from "../../../src/tensor/webgpu/tiles.ts";
import { onGpu } from "../../harness/cases.ts";
import { GATE } from "../../judge/bounds.ts";
import { compare } from "../../judge/compare.ts";
import { type Case, poison } from "../conformance.ts";

const backends = new Map<string, WebGpuBackend>();

/** Runs a case on a device, on poisoned buffers. A backend is kept for all cases of the same options. */
export function onDevice(one: Case, dtype: WeightDType, options: WebGpuOptions): void {
  const { activations = "f32", ...pinned } = options;
  const form = Object.values(pinned).join(" ");
  const precision = activations === "f16" ? `${dtype}, f16 activations` : dtype;
  const features: GPUFeatureName[] = activations === "f16" ? ["shader-f16"] : [];
  onGpu(`${one.name} (${precision} weights) ${form}`, { precision, features }, async ({ device }, context) => {
    const capabilities = capabilitiesOf(device, activations === "f16");
    for (const wanted of [pinned.linear && LINEAR[pinned.linear], pinned.attention && ATTENTION[pinned.attention]]) {
      if (wanted && !runs(wanted, capabilities))
        context.skip("the adapter lacks the form's matrix unit or workgroup memory");
    }
    // A backend takes a pinned form of attention as far as it fits; what would run another one does not count for it.
    if (one.attended && pinned.attention && !pinned.linear) {
      const { head, queries } = one.attended;
      if (queries === 1) context.skip("a single query has forms of its own");
      if (!fits(ATTENTION[pinned.attention], head, capabilities.memory))
        context.skip(`the form does not fit heads of ${head} on this adapter`);
    }
    const key = JSON.stringify(options);
    const b = backends.get(key) ?? new WebGpuBackend(device, options);
    backends.set(key, b);
    await poison(b);
    const { actual, expected, shape } = await one.run(b, dtype);
    compare(actual, expected, { shape, label: `webgpu ${one.name} ${form}`, gate: GATE[activations] });
  });
}
