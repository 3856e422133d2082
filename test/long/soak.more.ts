import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe } from "vitest";
import { tallied } from "../harness/cases.ts";
import { soak, writeTiny } from "./soak.ts";

// As soak.test.ts, on wasm: every round starts threads and tries forms.
describe("memory is flat", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await writeTiny();
  });
  afterAll(() => rm(folder, { recursive: true }));

  tallied("on wasm", { backend: "wasm", precision: "f32" }, () => soak("wasm", folder, 20, 4, 1000));
});
