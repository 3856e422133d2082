import { describe } from "vitest";
import { goldenInForms } from "./golden.ts";

describe("golden files", () => {
  goldenInForms("tiny-hd72", "tile-32x64", "16x16");
  goldenInForms("tiny-hd72", "tile-64x64", "32x32");
  goldenInForms("tiny-hd72", "tile-128x128", "64x12");
  goldenInForms("tiny-hd72", "split", "64x24");
});
