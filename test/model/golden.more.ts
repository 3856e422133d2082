import { describe } from "vitest";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { onGpu } from "../harness/cases.ts";
import { NAFLEX } from "../harness/golden.ts";
import { forTest } from "../harness/gpu.ts";
import { BOUND } from "../judge/bounds.ts";
import { goldenInForms, holdGolden } from "./golden.ts";
import { holdLarger } from "./larger.ts";
import { holdCosine } from "./precision.ts";

describe("golden files", () => {
  goldenInForms("tiny-ragged", "tile-64x64", "32x32");
  goldenInForms("tiny-hd72", "tile-32x64", "16x16");
  goldenInForms("tiny-hd72", "tile-64x64", "32x32");
  goldenInForms("tiny-hd72", "tile-128x128", "64x12");
  goldenInForms("tiny-hd72", "split", "64x24");
});

describe("pictures of several shapes", () => {
  onGpu(`${NAFLEX} on webgpu`, { precision: "f32" }, async ({ device }) => {
    const backend = new WebGpuBackend(device, forTest(device));
    await holdGolden(NAFLEX, backend, BOUND.f32);
    backend.dispose();
  });
  for (const dtype of ["f16", "q8", "q4"] as const) {
    onGpu(`keep the golden embeddings, ${dtype} weights`, { precision: dtype }, async ({ device }) => {
      const backend = new WebGpuBackend(device, forTest(device));
      await holdCosine(backend, dtype, [NAFLEX]);
      backend.dispose();
    });
    onGpu(
      `keep the golden embeddings, ${dtype} weights and f16 activations`,
      { precision: `${dtype}, f16 activations`, features: ["shader-f16"] },
      async ({ device }) => {
        const backend = new WebGpuBackend(device, { ...forTest(device), activations: "f16" });
        await holdCosine(backend, dtype, [NAFLEX]);
        backend.dispose();
      },
    );
  }
});

holdLarger(["webgpu"]);
