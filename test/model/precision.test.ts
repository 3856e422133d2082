import { describe } from "vitest";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { onEvery } from "../harness/backends.ts";
import { onGpu } from "../harness/cases.ts";
import { forTest } from "../harness/gpu.ts";
import { holdCosine } from "./precision.ts";

// What golden.test.ts holds in f32 is closer than any bound here.
for (const dtype of ["f16", "q8", "q4"] as const) {
  describe(`${dtype} weights`, () => {
    onEvery("keep the golden embeddings", { precision: dtype }, (backend) => holdCosine(backend, dtype));

    onGpu(
      "keep the golden embeddings on webgpu, f16 activations",
      { precision: `${dtype}, f16 activations`, features: ["shader-f16"] },
      async ({ device }) => {
        const backend = new WebGpuBackend(device, { ...forTest(device), activations: "f16" });
        await holdCosine(backend, dtype);
        backend.dispose();
      },
    );
  });
}
