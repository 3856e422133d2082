import { describe } from "vitest";
import { ATTENTION, type AttentionName, LINEAR, type LinearName } from "../../src/tensor/webgpu/tiles.ts";
import { attention, linear, WEIGHTS } from "./conformance.ts";
import { onDevice } from "./webgpu/on-device.ts";

// SigLIP's own widths, in every form and precision. 65 rows cross every tile's edge; 729 are a picture.
const linears = [
  linear([65, 1152], 3456),
  linear([65, 1152], 4304, { gelu: true }),
  linear([65, 4304], 1152, { add: "full" }),
  linear([2, 33, 588], 1152, { add: "item" }),
];

describe("so400m's linear maps", () => {
  for (const name of Object.keys(LINEAR) as LinearName[]) {
    const { half = false } = LINEAR[name];
    const picture = linear([729, 1152], 1152);
    if (!half) for (const dtype of WEIGHTS) for (const one of linears) onDevice(one, dtype, { linear: name });
    if (!half) onDevice(picture, "f16", { linear: name });
    for (const one of [...linears, picture]) onDevice(one, "f16", { linear: name, activations: "f16" });
    // What is widened while it is staged differs in nothing but that: one shape, a ragged depth, shows it.
    for (const dtype of ["q8", "q4"] as const) onDevice(linears[3], dtype, { linear: name, activations: "f16" });
  }
});

describe("so400m's attention", () => {
  for (const name of Object.keys(ATTENTION) as AttentionName[]) {
    for (const one of [attention(1, 729, 729, 2, 72), attention(2, 64, 64, 16, 72), attention(1, 576, 576, 2, 96)]) {
      const { half = false } = ATTENTION[name];
      if (!half) onDevice(one, "f32", { attention: name });
      onDevice(one, "f16", { attention: name, activations: "f16" });
    }
  }
});
