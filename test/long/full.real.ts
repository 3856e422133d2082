import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect } from "vitest";
import type { WeightDType } from "../../src/tensor/program.ts";
import { onGpu, tallied } from "../harness/cases.ts";
import { COSINE_BOUND } from "../harness/golden.ts";
import type { FullRun } from "./full-run.ts";

// The real so400m shape on synthetic weights: `npm run test:full`. SIGLIP_FULL_DIR names another folder for the 3.5 GB.
const folder =
  process.env.SIGLIP_FULL_DIR ?? fileURLToPath(new URL("../../node_modules/.cache/siglip/so400m-384", import.meta.url));

/**
 * Bytes of host memory that loading may take: the process's largest resident size, less what the backend reports, less the
 * size of a process that only loads the modules and makes the device. Less where weights pass through in chunks.
 */
const LOADING = { wasm: 256e6, webgpu: 256e6, cpu: 400e6 } as const;

async function run(file: string, args: readonly string[]): Promise<string> {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", script, ...args], {
    maxBuffer: 2 ** 24,
  });
  return stdout;
}

/** Weight bytes of the image tower at most. In wasm f16 is 14 bits in two bytes, and a scale of two more for 32 of them. */
const WEIGHTS: Readonly<Record<WeightDType, number>> = { f32: 1.73e9, f16: 0.87e9, q8: 0.47e9, i8: 0.47e9, q4: 0.28e9 };
const WASM_WEIGHTS = { ...WEIGHTS, f16: 0.89e9 };

async function check(backend: "cpu" | "wasm" | "webgpu", dtype: WeightDType): Promise<void> {
  const baseline: { peak: number } = JSON.parse(await run("full-run.ts", [backend, folder, "baseline"]));
  const result: FullRun = JSON.parse(await run("full-run.ts", [backend, folder, dtype]));
  const { errors, ...rest } = result;
  const besideBackend = result.peakAfterLoad - result.backendBytes - baseline.peak;
  const [worst, error] = Object.entries(errors)
    .filter(([what]) => what !== "logits")
    .reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0]);
  console.info(backend, dtype, { ...rest, besideBackend, worst, error, logits: errors.logits });
  expect(besideBackend).toBeLessThan(LOADING[backend]);
  expect(Math.max(result.loss.image, result.loss.text)).toBeLessThanOrEqual(COSINE_BOUND[dtype]);
  const most = { cpu: Number.POSITIVE_INFINITY, wasm: WASM_WEIGHTS[dtype], webgpu: WEIGHTS[dtype] }[backend];
  expect(result.imageBytes).toBeLessThanOrEqual(most);
}

describe("so400m-384, synthetic", () => {
  beforeAll(async () => {
    if (!existsSync(`${folder}/config.json`)) await run("../judge/write-synthetic.ts", ["--out", folder]);
  }, 600_000);

  tallied("reproduces the golden file on the cpu", { backend: "cpu", precision: "f32" }, () => check("cpu", "f32"));
  for (const dtype of ["f32", "f16", "q8", "i8", "q4"] as const) {
    tallied(`reproduces the golden file on wasm, ${dtype}`, { backend: "wasm", precision: dtype }, () =>
      check("wasm", dtype),
    );
  }
  for (const dtype of ["f32", "f16", "q8", "q4"] as const) {
    onGpu(`reproduces the golden file on webgpu, ${dtype}`, { precision: dtype }, () => check("webgpu", dtype));
  }
});
