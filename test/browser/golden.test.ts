import { afterAll, describe } from "vitest";
import { TINY } from "../harness/golden.ts";
import { closeJudge, goldenInPage, operationsInPage } from "./golden-page.ts";

afterAll(closeJudge);

// What rounding weights does was seen in Node; here it is the device's reading of them that is new. Larger heads, which take long to
// compile, are in golden.more.ts.
describe("golden files in a page", () => {
  for (const name of TINY) goldenInPage(name, "cpu", "f32");
  for (const name of TINY) goldenInPage(name, "wasm", "f32");
  for (const dtype of ["f16", "q8", "i8", "q4"] as const) goldenInPage("tiny-hd72", "wasm", dtype);
  for (const dtype of ["f32", "f16", "q8", "q4"] as const) goldenInPage("tiny-ragged", "webgpu", dtype);
  goldenInPage("tiny-hd72", "webgpu", "f32");
  operationsInPage("operations with small heads are within float32 of float64", 16);
});
