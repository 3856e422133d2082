import { describe, expect, vi } from "vitest";
import { WebGpuBackend } from "../../../src/tensor/webgpu/backend.ts";
import { choose } from "../../../src/tensor/webgpu/choose.ts";
import { onGpu, tallied } from "../../harness/cases.ts";
import { compare } from "../../judge/compare.ts";
import { linear } from "../conformance.ts";

describe("choosing a kernel's form", () => {
  tallied("takes the fastest that agrees with the plain one", { backend: "other", precision: "-" }, async () => {
    let last = "";
    const slow = { plain: 8, fast: 2, wrong: 0 };
    const forms = Object.entries(slow).map(([name, milliseconds]) => ({
      name,
      async run(calls: number) {
        last = name;
        await new Promise((resolve) => setTimeout(resolve, milliseconds * calls));
      },
    }));
    const { name, trials } = await choose(forms, "f32", async () =>
      Float32Array.of(1, last === "wrong" ? Number.NaN : 2),
    );
    expect(name).toBe("fast");
    expect(trials.map(({ right }) => right)).toEqual([true, true, false]);
  });

  tallied(
    "takes no form for free whose many calls seem to last no longer than one",
    { backend: "other", precision: "-" },
    async () => {
      const times = [0, 1, 0, 1, 0, 5, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1].values();
      vi.spyOn(performance, "now").mockImplementation(() => times.next().value ?? 0);
      const { trials } = await choose([{ name: "plain", run: async () => {} }], "f32", async () => Float32Array.of(1));
      vi.restoreAllMocks();
      expect(trials[0].milliseconds).toBe(0.5);
    },
  );

  onGpu(
    "is made at the first run, right at once, kept and given to the next backend",
    { precision: "f32" },
    async ({ device }) => {
      const chosen = new Map<string, string>();
      const b = new WebGpuBackend(device, { chosen });
      const one = linear([65, 48], 40, { gelu: true });
      for (let round = 0; round < 2; round++) {
        const { actual, expected, shape } = await one.run(b, "f32");
        compare(actual, expected, { shape, label: "chosen", gate: 1e-10 });
      }
      expect(chosen.size).toBe(1);
      const [[key, trials]] = b.trials;
      expect(key).toBe("linear 128 rows 64 to 64 f32 f32 f32");
      expect(trials.every(({ right }) => right)).toBe(true);
      expect(trials.map(({ name }) => name)).toContain(chosen.get(key));

      const next = new WebGpuBackend(device, { chosen });
      const compile = vi.spyOn(device, "createComputePipelineAsync");
      await one.run(next, "f32");
      expect(next.trials.size).toBe(0);
      expect(compile).toHaveBeenCalledTimes(1);
      vi.restoreAllMocks();
      b.dispose();
      next.dispose();
    },
  );

  onGpu(
    "leaves out what the runtime does not compile, though it was chosen once",
    { precision: "f32" },
    async (gpu) => {
      const { device } = gpu;
      const create = device.createShaderModule.bind(device);
      vi.spyOn(device, "createShaderModule").mockImplementation((descriptor) =>
        create(descriptor.label?.startsWith("linear {") ? { code: "enable what_is_unknown;" } : descriptor),
      );
      const key = "linear 128 rows 64 to 64 f32 f32 f32";
      const chosen = new Map([[key, "tile-64x64"]]);
      const b = new WebGpuBackend(device, { chosen });
      const { actual, expected, shape } = await linear([65, 48], 40).run(b, "f32");
      vi.restoreAllMocks();
      compare(actual, expected, { shape, label: "what compiles", gate: 1e-10 });
      expect(b.trials.get(key)!.map(({ name }) => name)).toEqual(["direct", "split"]);
      expect(["direct", "split"]).toContain(chosen.get(key));
      b.dispose();
    },
  );
});
