import { describe } from "vitest";
import { compileKernels, UNITS } from "./compile.ts";

describe("kernels compile on Dawn's null backend", () => compileKernels(UNITS.slice(1)));
