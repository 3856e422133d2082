import { describe, expect } from "vitest";
import { Checkpoint } from "../src/checkpoint/checkpoint.ts";
import type { Backend, Tensor, WeightDType } from "../src/tensor/backend.ts";
import { CpuBackend } from "../src/tensor/cpu.ts";
import { WebGpuBackend } from "../src/tensor/webgpu/backend.ts";
import { loadTowers } from "../src/towers.ts";
import { onGpu, tallied } from "./cases.ts";
import { checkGolden, openGolden } from "./golden.ts";
import { forTest } from "./gpu.ts";
import { syntheticSource } from "./synthetic.ts";

const CASES = ["tiny-giant", "tiny-hd64", "tiny-hd72", "tiny-ragged"];

/**
 * Bounds on |out - gold| / |gold|. The CPU rounds to float32 once per operation (6e-8) and a residual stream of few layers
 * adds those up; float32 sums on a device add the error of K terms. Plain float32 through a good BLAS is at 4e-7 to 6e-7.
 */
const BOUND = { cpu: 1e-6, webgpu: 1e-5 };

async function check<T extends Tensor>(
  name: string,
  backend: Backend<T>,
  dtype: WeightDType,
  bound: number,
): Promise<void> {
  const golden = await openGolden(name);
  const checkpoint = await Checkpoint.open([syntheticSource(golden.config)]);
  const towers = await loadTowers(backend, checkpoint, golden.config, { dtype, towers: ["image", "text"] });
  expect(towers.unused).toEqual([]);
  await checkGolden(golden, towers, { bound, label: `${backend.name} ${name}` });
}

describe("golden files", () => {
  for (const name of CASES) {
    tallied(`${name} on the cpu`, { backend: "cpu", precision: "f32" }, () =>
      check(name, new CpuBackend(), "f32", BOUND.cpu),
    );
    onGpu(`${name} on webgpu`, { precision: "f32" }, async ({ device }) => {
      const backend = new WebGpuBackend(device, forTest(device));
      await check(name, backend, "f32", BOUND.webgpu);
      backend.dispose();
    });
  }

  // The forms that a GPU's trial chooses among, each through both towers.
  for (const [linear, attention] of [
    ["tile-32x64", "16x8"],
    ["tile-64x64", "16x16"],
    ["tile-128x64", "32x16"],
  ] as const) {
    onGpu(`tiny-hd72 on webgpu, ${linear} and ${attention}`, { precision: "f32" }, async ({ device }) => {
      const backend = new WebGpuBackend(device, { linear, attention });
      await check("tiny-hd72", backend, "f32", BOUND.webgpu);
      backend.dispose();
    });
  }
});
