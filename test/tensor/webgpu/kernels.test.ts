import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { join, kernelNames } from "../../../kernels/generate.ts";
import { onGpu } from "../../harness/cases.ts";
import { runShader } from "../../harness/shader.ts";
import * as reference from "../../judge/reference.ts";
import { ATTENTION_CASES, attentionOnUnits, LINEAR_CASES, linearOnUnits } from "./matrix-emulation.ts";

// Drivers that make tanh of exponentials overflow far out, where software adapters do not: here every device's does.
const OVERFLOWING = `
  fn overflowing(v: vec4<f32>) -> vec4<f32> { return select(tanh(v), vec4(1e30), abs(v) > vec4(15.001)); }`;

onGpu("GELU asks tanh for nothing beyond 15", { precision: "f32" }, async (gpu) => {
  const gelu = readFileSync(new URL("../../../kernels/parts/gelu.wgsl", import.meta.url), "utf8");
  for (const name of kernelNames()) expect(join(name).replace(gelu, ""), name).not.toContain("tanh(");
  const inputs = [1, 14, 16, 1e3, 6e4].flatMap((x) => [x, -x]);
  const preamble = `${OVERFLOWING}\n${gelu.replace("tanh(", "overflowing(")}
    const inputs = array<f32, ${inputs.length}>(${inputs});`;
  const values = await runShader(gpu, inputs.length, "gelu(vec4(inputs[i])).x", preamble);
  for (const [i, x] of inputs.entries()) {
    // WGSL grants tanh an error of 1e-5, of which GELU takes |x| / 2; what is left are a few roundings of 6e-8.
    const error = Math.abs(values[i] - reference.geluTanh(x));
    expect(error, `gelu(${x}) is ${values[i]}`).toBeLessThanOrEqual(6e-6 * Math.abs(x));
  }
});

// One of each; all of them are in kernels.more.ts.
linearOnUnits(LINEAR_CASES[0]);
attentionOnUnits(ATTENTION_CASES[0]);
