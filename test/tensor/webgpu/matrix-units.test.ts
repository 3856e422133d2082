import { describe, expect } from "vitest";
import { capabilitiesOf, openDevice } from "../../../src/tensor/webgpu/device.ts";
import { attentionForms, linearForms } from "../../../src/tensor/webgpu/tiles.ts";
import { tallied } from "../../harness/cases.ts";

const HALVES = { componentType: "f16", resultComponentType: "f32" };
const SMALL = { ...HALVES, M: 16, N: 8, K: 8 };
const LARGE = { ...HALVES, M: 16, N: 16, K: 16 };
const OTHERS = { componentType: "f16", resultComponentType: "f16", M: 32, N: 32, K: 32 };

/** WebGPU with matrix units, of which only the adapter tells: so it is in Node. */
function fake(sizes: [least: number, most: number], configs: readonly object[], ...features: string[]): GPU {
  const [subgroupMinSize, subgroupMaxSize] = sizes;
  const info = { vendor: "a", subgroupMinSize, subgroupMaxSize };
  const offered = new Set([...features, "shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"]);
  const limits = { maxComputeWorkgroupStorageSize: 32768 };
  const adapter = {
    info: { ...info, subgroupMatrixConfigs: configs },
    features: offered,
    limits,
    requestDevice: async ({ requiredFeatures }: GPUDeviceDescriptor) => ({
      adapterInfo: info,
      features: new Set(requiredFeatures),
      limits,
    }),
  };
  return { requestAdapter: async () => adapter } as unknown as GPU;
}

async function unitOf(gpu: GPU) {
  return capabilitiesOf((await openDevice(gpu))!.device, true).unit;
}

describe("the matrix unit of a device", () => {
  const tally = { backend: "other", precision: "-" };
  tallied("is the one that does most, of those that take halves and sum in f32", tally, async () => {
    expect(await unitOf(fake([32, 32], [SMALL, LARGE, OTHERS]))).toEqual({ M: 16, N: 16, K: 16, subgroup: 32 });
    expect(await unitOf(fake([32, 32], [OTHERS]))).toBeUndefined();
    // Too wide for the kernels, or with more rows than a subgroup has threads.
    expect(await unitOf(fake([32, 32], [{ ...LARGE, N: 32 }, SMALL]))).toMatchObject({ N: 8 });
    expect(await unitOf(fake([8, 8], [LARGE, { ...SMALL, M: 8 }]))).toMatchObject({ M: 8 });
  });
  tallied("is used where subgroups have several sizes only if one can be asked for", tally, async () => {
    expect(await unitOf(fake([32, 64], [LARGE]))).toBeUndefined();
    expect(await unitOf(fake([32, 64], [LARGE], "subgroup-size-control"))).toMatchObject({ subgroup: 32 });
    const intel = { ...HALVES, M: 8, N: 16, K: 16 };
    expect(await unitOf(fake([8, 32], [intel], "subgroup-size-control"))).toMatchObject({ M: 8, subgroup: 16 });
  });
});

describe("the forms worth a trial", () => {
  const unit = { M: 16, N: 16, K: 16, subgroup: 32 };
  const tally = { backend: "other", precision: "-" };
  tallied("are the portable ones without matrix units", tally, () => {
    for (const device of [
      { half: true, memory: 49152 },
      { half: false, memory: 49152, unit }, // float32 activations are not worth halving
    ]) {
      expect(linearForms(729, device).some((name) => name.startsWith("matrix"))).toBe(false);
      expect(linearForms(729, device).some((name) => name.startsWith("tile"))).toBe(true);
      expect(attentionForms(72, 729, device)).toEqual(["16x16", "32x32", "64x12", "64x24"]);
    }
    expect(linearForms(1, { half: true, memory: 16384 })).toEqual(["direct", "split", "tile-32x64"]);
    expect(attentionForms(72, 729, { half: true, memory: 16384 })).toEqual(["16x16"]);
  });
  tallied("are the plain one and those for matrix units where there are any", tally, () => {
    const device = { half: true, memory: 49152, unit };
    expect(linearForms(729, device).every((name) => /^(direct|split|tile-64x64|matrix-.*)$/.test(name))).toBe(true);
    expect(attentionForms(72, 729, device)).toEqual(["16x16", "32x32", "matrix-2", "matrix-4"]);
  });
});
