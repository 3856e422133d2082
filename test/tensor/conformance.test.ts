import { afterAll, describe } from "vitest";
import { SOFTWARE } from "../../src/tensor/webgpu/options.ts";
import { BACKENDS, disposeKept } from "../harness/backends.ts";
import { compare } from "../judge/compare.ts";
import { attention, cases, linear, WEIGHTS } from "./conformance.ts";
import { onDevice } from "./webgpu/on-device.ts";
import { everyAttention, everyLinear } from "./webgpu/on-forms.ts";

describe("every backend", () => {
  afterAll(disposeKept);
  for (const { name, gate, dtypes, test } of BACKENDS) {
    if (name === "webgpu") continue; // below, in its forms
    for (const dtype of dtypes) {
      for (const one of cases) {
        test(`${one.name} (${dtype} weights) on ${name}`, { precision: dtype, keep: true }, async (b) => {
          const { actual, expected, shape } = await one.run(b, dtype);
          compare(actual, expected, { shape, label: `${name} ${one.name}`, gate: gate(dtype) });
        });
      }
    }
  }
});

// To compile is all that small shapes cost a software adapter, and each epilogue and head is compiled apart: these have one each.
// All of them are in conformance.more.ts.
describe("webgpu", () => {
  // Everything in the forms that need the least compiling, in every precision …
  for (const dtype of WEIGHTS) {
    for (const one of cases) onDevice(one, dtype, SOFTWARE);
  }
  for (const dtype of ["f16", "q8", "q4"] as const) {
    for (const one of cases) onDevice(one, dtype, { ...SOFTWARE, activations: "f16" });
  }
  // … and every other form on one row, and on rows, columns and a depth that just cross its tile.
  const epilogue = { gelu: true, add: "full" } as const;
  everyLinear(
    // Weights are unpacked while they are staged, which the tile of 64 x 64 and the one without a tile show for all.
    (name) => (name === "tile-64x64" || name === "split" ? WEIGHTS : ["f32", "q4"]),
    ({ rows, columns }) => [
      linear([1, 48], 40, epilogue),
      linear([rows + 1, 101], columns + 1, epilogue),
      // Every kernel has a tanh of its own to clamp.
      linear([rows, 64], columns, epilogue, 1000),
    ],
  );
  // Heads of ten vectors, which neither six nor eight threads divide.
  everyAttention(() => [attention(2, 33, 33, 2, 40), attention(1, 65, 65, 1, 40, 50), attention(2, 5, 70, 3, 40)]);
});
