import { describe } from "vitest";
import { SOFTWARE } from "../../src/tensor/webgpu/options.ts";
import { ATTENTION, type AttentionName, LINEAR, type LinearName } from "../../src/tensor/webgpu/tiles.ts";
import { BACKENDS } from "../harness/backends.ts";
import { compare } from "../judge/compare.ts";
import { attention, cases, linear, vast, WEIGHTS } from "./conformance.ts";
import { onDevice } from "./webgpu/on-device.ts";

describe("every backend", () => {
  for (const { name, gate, dtypes, test } of BACKENDS) {
    if (name === "webgpu") continue; // below, in its forms
    for (const dtype of dtypes) {
      for (const one of cases) {
        test(`${one.name} (${dtype} weights) on ${name}`, { precision: dtype }, async (b) => {
          const { actual, expected, shape } = await one.run(b, dtype);
          compare(actual, expected, { shape, label: `${name} ${one.name}`, gate: gate(dtype) });
        });
      }
    }
  }
});

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
    ...[1, 3, 63, 64, 65, 729, 730].map((rows) => linear([rows, 48], 40)),
    linear([1458, 160], 160),
    linear([3, 25, 101], 129, { gelu: true, add: "item" }),
    // Every kernel has a tanh of its own to clamp.
    linear([3, 3, 64], 64, { gelu: true, add: "item" }, 1000),
  ];
  for (const name of Object.keys(LINEAR) as LinearName[]) {
    if (name === SOFTWARE.linear) continue;
    const { half = false } = LINEAR[name];
    if (!half) for (const dtype of WEIGHTS) for (const one of linears) onDevice(one, dtype, { linear: name });
    for (const dtype of WEIGHTS.slice(1)) {
      for (const one of linears) onDevice(one, dtype, { linear: name, activations: "f16" });
    }
  }
  const attentions = [
    attention(2, 33, 33, 2, 72),
    attention(2, 65, 65, 1, 64),
    attention(1, 65, 65, 1, 64, 50),
    vast,
    attention(2, 1, 70, 2, 96),
    attention(1, 5, 40, 3, 7),
  ];
  for (const name of Object.keys(ATTENTION) as AttentionName[]) {
    if (name === SOFTWARE.attention) continue;
    const { half = false } = ATTENTION[name];
    if (!half) for (const one of attentions) onDevice(one, "f32", { attention: name });
    for (const one of attentions) onDevice(one, "f16", { attention: name, activations: "f16" });
  }
});
