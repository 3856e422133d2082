import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe } from "vitest";
import { onGpu, tallied } from "../harness/cases.ts";
import { soak, writeTiny } from "./soak.ts";

// As soak.test.ts.
describe("memory is flat", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await writeTiny();
  });
  afterAll(() => rm(folder, { recursive: true }));

  // Every round starts threads and tries forms.
  tallied("on wasm", { backend: "wasm", precision: "f32" }, () => soak("wasm", folder, 20, 4, 1000));
  // No embeddings in the rounds: a software adapter compiles for seconds on every new device.
  onGpu("on webgpu", { precision: "f32", timeout: 300_000 }, () => soak("webgpu", folder, 20, 0, 1000));
});
