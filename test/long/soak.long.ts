import { fileURLToPath } from "node:url";
import { describe } from "vitest";
import { onGpu, tallied } from "../harness/cases.ts";
import { soak } from "./soak.ts";

const demo = fileURLToPath(new URL("../../weights/demo", import.meta.url));

// A hundred rounds and ten thousand embeddings of the demo model.
describe("memory is flat", () => {
  tallied("on the cpu", { backend: "cpu", precision: "f32" }, () => soak("cpu", demo, 100, 4, 10_000));
  tallied("on wasm", { backend: "wasm", precision: "f32" }, () => soak("wasm", demo, 100, 4, 10_000));
  onGpu("over rounds on webgpu", { precision: "f32" }, () => soak("webgpu", demo, 100, 4, 0));
  onGpu("over embeddings on webgpu", { precision: "f32" }, () => soak("webgpu", demo, 0, 0, 10_000));
});
