import { describe } from "vitest";
import { Siglip } from "../../src/node.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { capabilitiesOf } from "../../src/tensor/webgpu/device.ts";
import { LINEAR, runs } from "../../src/tensor/webgpu/tiles.ts";
import { onGpu, tallied } from "../harness/cases.ts";
import { holdCosine, holdRetrieval } from "./precision.ts";

describe("half-precision activations on webgpu", () => {
  for (const dtype of ["f16", "q8", "q4"] as const) {
    const precision = `${dtype}, f16 activations`;
    onGpu(
      `keep the golden embeddings on matrix units, ${dtype} weights`,
      { precision, features: ["shader-f16"] },
      async ({ device }, context) => {
        const options = { linear: "matrix-64x64", attention: "matrix-2", activations: "f16" } as const;
        if (!runs(LINEAR[options.linear], capabilitiesOf(device, true))) context.skip("the adapter lacks matrix units");
        const backend = new WebGpuBackend(device, options);
        await holdCosine(backend, dtype);
        backend.dispose();
      },
    );
  }

  // The forms that a GPU's trial chooses among, where the bound is tightest: half precision's own first.
  for (const [linear, attention] of [
    ["half-64x64", "32x32"],
    ["half-128x128", "64x12"],
    ["tile-32x64", "16x16"],
    ["tile-64x64", "32x32"],
    ["tile-128x128", "64x12"],
    ["split", "64x24"],
  ] as const) {
    onGpu(
      `keep a golden embedding in ${linear} and ${attention}`,
      { precision: "f16, f16 activations", features: ["shader-f16"] },
      async ({ device }) => {
        const backend = new WebGpuBackend(device, { linear, attention, activations: "f16" });
        await holdCosine(backend, "f16", ["tiny-hd72"]);
        backend.dispose();
      },
    );
  }
});

// In f32 siglip.test.ts holds it to the very reference.
for (const dtype of ["f16", "q8", "q4"] as const) {
  tallied(`${dtype} weights retrieve on the cpu`, { backend: "cpu", precision: dtype }, async () =>
    holdRetrieval(await Siglip.load("demo", { backend: "cpu", dtype }), dtype),
  );
}
