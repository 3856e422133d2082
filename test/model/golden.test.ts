import { describe } from "vitest";
import { onEvery } from "../harness/backends.ts";
import { TINY } from "../harness/golden.ts";
import { goldenInForms, holdGolden } from "./golden.ts";

describe("golden files", () => {
  for (const name of TINY) {
    onEvery(name, { precision: "f32" }, (backend, { golden }) => holdGolden(name, backend, golden));
  }
  goldenInForms("tiny-ragged", "tile-64x64", "32x32");
});
