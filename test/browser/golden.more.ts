import { afterAll, describe } from "vitest";
import { TINY } from "../harness/golden.ts";
import { closeJudge, goldenInPage, operationsInPage } from "./golden-page.ts";

afterAll(closeJudge);

describe("golden files in a page", () => {
  for (const dtype of ["f32", "f16", "q8", "q4"] as const) {
    for (const name of TINY) goldenInPage(name, "webgpu", dtype);
  }
  operationsInPage("every operation is within float32 of float64", Number.POSITIVE_INFINITY);
});
