import { Siglip } from "../../src/node.ts";
import { onGpu } from "../harness/cases.ts";
import { holdRetrieval } from "./precision.ts";

for (const dtype of ["f32", "f16", "q8", "q4"] as const) {
  onGpu(`${dtype} weights retrieve on webgpu`, { precision: dtype }, async ({ device }) =>
    holdRetrieval(await Siglip.load("demo", { backend: "webgpu", dtype, device }), dtype),
  );
}
