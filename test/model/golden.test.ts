import { describe } from "vitest";
import type { Backend, Tensor } from "../../src/tensor/backend.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { onGpu, tallied } from "../harness/cases.ts";
import { BOUND, checkGolden, goldenTowers, openGolden, TINY } from "../harness/golden.ts";
import { forTest } from "../harness/gpu.ts";

async function check<T extends Tensor>(name: string, backend: Backend<T>, bound: number): Promise<void> {
  const golden = await openGolden(name);
  const towers = await goldenTowers(golden, backend, "f32");
  await checkGolden(golden, towers, { bound, label: `${backend.name} ${name}` });
}

describe("golden files", () => {
  for (const name of TINY) {
    tallied(`${name} on the cpu`, { backend: "cpu", precision: "f32" }, () => check(name, new CpuBackend(), BOUND.cpu));
    onGpu(`${name} on webgpu`, { precision: "f32" }, async ({ device }) => {
      const backend = new WebGpuBackend(device, forTest(device));
      await check(name, backend, BOUND.webgpu);
      backend.dispose();
    });
  }

  // The forms that a GPU's trial chooses among, each through both towers.
  for (const [linear, attention] of [
    ["tile-32x64", "16x16"],
    ["tile-64x64", "16x16"],
    ["tile-128x128", "64x12"],
  ] as const) {
    onGpu(`tiny-hd72 on webgpu, ${linear} and ${attention}`, { precision: "f32" }, async ({ device }) => {
      const backend = new WebGpuBackend(device, { linear, attention });
      await check("tiny-hd72", backend, BOUND.webgpu);
      backend.dispose();
    });
  }
});
