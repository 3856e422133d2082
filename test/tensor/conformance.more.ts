import { describe } from "vitest";
import { SOFTWARE } from "../../src/tensor/webgpu/options.ts";
import { attention, linear, masked, vast, WEIGHTS } from "./conformance.ts";
import { onDevice } from "./webgpu/on-device.ts";
import { everyAttention, everyLinear } from "./webgpu/on-forms.ts";

// Every form in every precision on the shapes at which it can go wrong.
describe("webgpu", () => {
  for (const dtype of WEIGHTS) onDevice(attention(1, 17, 17, 1, 160), dtype, SOFTWARE);
  everyLinear(
    () => WEIGHTS,
    () => [
      ...[1, 3, 63, 64, 65, 729, 730].map((rows) => linear([rows, 48], 40)),
      linear([1458, 160], 160),
      linear([3, 25, 101], 129, { gelu: true, add: "item" }),
      linear([3, 3, 64], 64, { gelu: true, add: "item" }, 1000),
    ],
  );
  everyAttention(() => [
    attention(2, 33, 33, 2, 72),
    attention(2, 65, 65, 1, 64),
    attention(1, 65, 65, 1, 64, 50),
    vast,
    attention(1, 5, 40, 3, 7),
    ...masked(40),
  ]);
});
