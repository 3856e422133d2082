import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe } from "vitest";
import { onGpu, tallied } from "../harness/cases.ts";
import { soak, writeTiny } from "./soak.ts";

// Rounds of load, embed and dispose, then embeddings; demo-sized and longer in soak.long.ts.
describe("memory is flat", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await writeTiny();
  });
  afterAll(() => rm(folder, { recursive: true }));

  tallied("on the cpu", { backend: "cpu", precision: "f32" }, () => soak("cpu", folder, 20, 4, 1000));
  // Every round starts threads and tries forms.
  tallied("on wasm", { backend: "wasm", precision: "f32" }, () => soak("wasm", folder, 20, 4, 1000));
  // No embeddings in the rounds: a software adapter compiles for seconds on every new device.
  onGpu("on webgpu", { precision: "f32", timeout: 300_000 }, () => soak("webgpu", folder, 20, 0, 1000));
  onGpu("on one device that outlives its models", { precision: "f32" }, () =>
    soak("webgpu", folder, 20, 0, 0, "shared"),
  );
});
