import { describe } from "vitest";
import type { WeightDType } from "../src/tensor/backend.ts";
import { CpuBackend } from "../src/tensor/cpu.ts";
import { SOFTWARE, WebGpuBackend, type WebGpuOptions } from "../src/tensor/webgpu/backend.ts";
import { ATTENTION, type AttentionName, LINEAR, type LinearName } from "../src/tensor/webgpu/tiles.ts";
import { onGpu, tallied } from "./cases.ts";
import { compare } from "./compare.ts";
import { attention, type Case, cases, linear } from "./conformance.ts";

const WEIGHTS = ["f32", "f16", "q8", "q4"] as const;

/**
 * Bounds on the normalised mean squared error, against the weights as they are stored. The reference's sums are float64 and
 * rounded once, so its error is that of one rounding per operation (2^-24 squared, 3.6e-15), of three in the chain. Float32
 * sums over K stay below 1e-10. Activations of half precision (2^-11 at most a value, 1e-7 squared) below 1e-6.
 */
const GATE = { cpu: 1e-13, f32: 1e-10, f16: 1e-6 };

describe("cpu", () => {
  const b = new CpuBackend();
  for (const dtype of WEIGHTS) {
    for (const one of cases) {
      tallied(`${one.name} (${dtype} weights)`, { backend: "cpu", precision: dtype }, async () => {
        const { actual, expected, shape } = await one.run(b, dtype);
        compare(actual, expected, { shape, label: `cpu ${one.name}`, gate: GATE.cpu });
      });
    }
  }
});

const backends = new Map<string, WebGpuBackend>();

/** Runs a case on a device, on poisoned buffers. A backend is kept for all cases of the same options. */
function onDevice(one: Case, dtype: WeightDType, options: WebGpuOptions): void {
  const { activations = "f32", ...pinned } = options;
  const form = Object.values(pinned).join(" ");
  const precision = activations === "f16" ? `${dtype}, f16 activations` : dtype;
  const features: GPUFeatureName[] = activations === "f16" ? ["shader-f16"] : [];
  onGpu(`${one.name} (${precision} weights) ${form}`, { precision, features }, async ({ device }) => {
    const key = JSON.stringify(options);
    const b = backends.get(key) ?? new WebGpuBackend(device, options);
    backends.set(key, b);
    poison(b);
    const { actual, expected, shape } = await one.run(b, dtype);
    compare(actual, expected, { shape, label: `webgpu ${one.name} ${form}`, gate: GATE[activations] });
  });
}

describe("webgpu", () => {
  // Everything in the forms that need the least compiling, in every precision …
  for (const dtype of WEIGHTS) {
    for (const one of cases) onDevice(one, dtype, SOFTWARE);
  }
  for (const dtype of ["f16", "q8", "q4"] as const) {
    for (const one of cases) onDevice(one, dtype, { ...SOFTWARE, activations: "f16" });
  }
  // … and every other form on the shapes at which it can go wrong.
  const linears = [
    ...[1, 3, 63, 64, 65, 730].map((rows) => linear([rows, 48], 40)),
    linear([1458, 160], 160),
    linear([3, 25, 101], 129, { gelu: true, add: "item" }),
  ];
  for (const name of Object.keys(LINEAR) as LinearName[]) {
    if (name === SOFTWARE.linear) continue;
    for (const dtype of WEIGHTS) for (const one of linears) onDevice(one, dtype, { linear: name });
    for (const one of linears) onDevice(one, "f16", { linear: name, activations: "f16" });
  }
  const attentions = [
    attention(2, 33, 33, 2, 72),
    attention(2, 65, 65, 1, 64),
    attention(2, 1, 70, 2, 96),
    attention(1, 5, 40, 3, 7),
  ];
  for (const name of Object.keys(ATTENTION) as AttentionName[]) {
    if (name === SOFTWARE.attention) continue;
    for (const one of attentions) onDevice(one, "f32", { attention: name });
    for (const one of attentions) onDevice(one, "f16", { attention: name, activations: "f16" });
  }
});

/** Fills the buffers that the next operations will be given with NaN, padding included. */
function poison(b: WebGpuBackend): void {
  b.scope(() => {
    for (const width of [32, 64, 128, 1024, 8192, 65536, 262144]) {
      for (let copy = 0; copy < 3; copy++) b.tensor(new Float32Array(width).fill(Number.NaN), [1, width]);
    }
  });
}
