import { describe } from "vitest";
import type { Backend } from "../../src/tensor/backend.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { onEvery } from "../harness/backends.ts";
import { onGpu } from "../harness/cases.ts";
import { checkGolden, goldenTowers, openGolden, TINY } from "../harness/golden.ts";
import { BOUND } from "../judge/bounds.ts";

async function check(name: string, backend: Backend, bound: number): Promise<void> {
  const golden = await openGolden(name);
  const towers = await goldenTowers(golden, backend, "f32");
  await checkGolden(golden, towers, { bound, label: `${backend.name} ${name}` });
}

describe("golden files", () => {
  for (const name of TINY) {
    onEvery(name, { precision: "f32" }, (backend, { golden }) => check(name, backend, golden));
  }

  // The forms that a GPU's trial chooses among, each through both towers.
  for (const [linear, attention] of [
    ["tile-32x64", "16x16"],
    ["tile-64x64", "16x16"],
    ["tile-128x128", "64x12"],
  ] as const) {
    onGpu(`tiny-hd72 on webgpu, ${linear} and ${attention}`, { precision: "f32" }, async ({ device }) => {
      const backend = new WebGpuBackend(device, { linear, attention });
      await check("tiny-hd72", backend, BOUND.f32);
      backend.dispose();
    });
  }
});
