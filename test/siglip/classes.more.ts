import { describe } from "vitest";
import { holdClassLogits } from "./class-logits.ts";

// The real width takes long on a software adapter.
describe("the golden file", () => holdClassLogits(["webgpu"]));
