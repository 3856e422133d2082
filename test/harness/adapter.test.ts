import { describe, expect, it } from "vitest";
import { compare } from "../judge/compare.ts";
import { adapterEnvironment } from "./adapter.ts";
import { onGpu, tallied } from "./cases.ts";
import { nullDevice } from "./gpu.ts";
import { runShader } from "./shader.ts";

const length = 1000;

/** Float32 rounds once on each side: half an ulp is 6e-8. */
const float32 = 1e-7;
const expected = Float64Array.from({ length }, (_, i) => i * 0.5 + 0.25);

describe("the test adapter", () => {
  onGpu("executes a shader", { precision: "f32" }, async (gpu) => {
    const values = await runShader(gpu, length, "f32(i) * 0.5 + 0.25");
    compare(values.subarray(0, length), expected, { shape: [length], relative: float32, label: "f32" });
    expect(values[length]).toBe(12345);
  });

  onGpu("executes half precision", { precision: "f16", features: ["shader-f16"] }, async (gpu) => {
    const values = await runShader(gpu, length, "f32(f16(i) * 0.5h + 0.25h)", "enable f16;");
    // Below 1000 the steps of f16 are at most 0.5, so the product is exact and the sum is off by a quarter at most.
    for (let i = 0; i < length; i++) expect(Math.abs(values[i] - expected[i])).toBeLessThanOrEqual(0.25);
    expect(values[length]).toBe(12345);
  });

  onGpu(
    "has no more than WebGPU's default limits, workgroup memory apart",
    { precision: "f32" },
    ({ device, adapter }) => {
      const { limits } = device;
      expect(limits.maxStorageBufferBindingSize).toBe(128 * 2 ** 20);
      expect(limits.maxComputeWorkgroupStorageSize).toBe(adapter.limits.maxComputeWorkgroupStorageSize);
      expect(limits.maxStorageBuffersPerShaderStage).toBe(8);
      expect(limits.maxComputeInvocationsPerWorkgroup).toBe(256);
    },
  );
});

describe("the null device", () => {
  tallied("compiles every extension and tells faults", { backend: "null", precision: "f16" }, async (context) => {
    const gpu = await nullDevice();
    if ("reason" in gpu) return context.skip(gpu.reason);
    const compile = async (code: string) => {
      gpu.device.pushErrorScope("validation");
      gpu.device.createShaderModule({ code });
      return gpu.device.popErrorScope();
    };
    const enable = "enable f16; enable subgroups; enable chromium_experimental_subgroup_matrix;";
    expect(await compile(`${enable} fn half(x: f16) -> f16 { return x; }`)).toBeNull();
    expect(await compile("fn broken( {")).not.toBeNull();
  });
});

describe("SIGLIP_ADAPTER", () => {
  it("refuses what it does not know", () => {
    expect(() => adapterEnvironment("metal")).toThrow("wanted swiftshader, lavapipe, system or none");
  });

  it("leaves the loader alone for the system's adapter", () => {
    expect(adapterEnvironment("system")).toEqual({ SIGLIP_ADAPTER: "system" });
  });
});
