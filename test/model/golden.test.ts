import { describe } from "vitest";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { BACKENDS, onEvery } from "../harness/backends.ts";
import { onGpu } from "../harness/cases.ts";
import { NAFLEX, TINY } from "../harness/golden.ts";
import { forTest } from "../harness/gpu.ts";
import { holdGolden } from "./golden.ts";
import { holdCosine } from "./precision.ts";

/** To compile takes a software adapter longer: on webgpu golden.more.ts has pictures of several shapes. */
const ON_HOST = BACKENDS.filter(({ name }) => name !== "webgpu");

describe("golden files", () => {
  for (const name of TINY) {
    onEvery(name, { precision: "f32" }, (backend, { golden }) => holdGolden(name, backend, golden));
  }
  for (const { name, test, golden } of ON_HOST) {
    test(`${NAFLEX} on ${name}`, { precision: "f32" }, (backend) => holdGolden(NAFLEX, backend, golden));
  }
});

// In f32 the above is closer than any bound on the cosine.
for (const dtype of ["f16", "q8", "i8", "q4"] as const) {
  describe(`${dtype} weights`, () => {
    for (const { name, test } of BACKENDS.filter(({ dtypes }) => dtypes.includes(dtype))) {
      const cases = name === "webgpu" ? TINY : [...TINY, NAFLEX];
      test(`keep the golden embeddings on ${name}`, { precision: dtype }, (backend) =>
        holdCosine(backend, dtype, cases),
      );
    }

    if (dtype === "i8") return; // wasm's own
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
