import { describe } from "vitest";
import { compileKernels, UNITS } from "./compile.ts";

// Matrix units of other shapes are in compile.more.ts.
describe("kernels compile on Dawn's null backend", () => compileKernels(UNITS.slice(0, 1)));
