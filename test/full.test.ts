import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect } from "vitest";
import { onGpu, tallied } from "./cases.ts";
import type { FullRun } from "./full-run.ts";

// The real so400m shape on synthetic weights: `npm run test:full`. SIGLIP_FULL_DIR names another folder for the 3.5 GB.
const folder =
  process.env.SIGLIP_FULL_DIR ?? fileURLToPath(new URL("../node_modules/.cache/siglip/so400m-384", import.meta.url));

/** What loading may take beside the weights on their backend, and beside what the modules and the device take. */
const LOADING = 400e6;

async function run(file: string, args: readonly string[]): Promise<string> {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", script, ...args], {
    maxBuffer: 2 ** 24,
  });
  return stdout;
}

async function check(backend: "cpu" | "webgpu"): Promise<void> {
  const baseline: { peak: number } = JSON.parse(await run("full-run.ts", [backend, folder, "baseline"]));
  const result: FullRun = JSON.parse(await run("full-run.ts", [backend, folder]));
  const { errors, ...rest } = result;
  const beside = result.peakAfterLoad - result.backendBytes - baseline.peak;
  const [worst, error] = Object.entries(errors)
    .filter(([what]) => what !== "logits")
    .reduce((a, b) => (b[1] > a[1] ? b : a));
  console.info(backend, {
    ...rest,
    besideBackend: beside,
    worst,
    error,
    logits: errors.logits,
    image: errors["image embeds"],
    text: errors["text embeds"],
  });
  expect(beside).toBeLessThan(LOADING);
}

describe("so400m-384, synthetic", () => {
  beforeAll(async () => {
    if (!existsSync(`${folder}/config.json`)) await run("write-synthetic.ts", ["--out", folder]);
  }, 600_000);

  tallied("reproduces the golden file on the cpu", { backend: "cpu", precision: "f32" }, () => check("cpu"));
  onGpu("reproduces the golden file on webgpu", { precision: "f32" }, () => check("webgpu"));
});
