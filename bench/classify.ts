/**
 * `npm run bench:classify`: `siglip classify` of one picture with so400m's synthetic weights on the wasm backend, each time a
 * process of its own from its start to its end, files in the file cache. SIGLIP_FULL_DIR names the folder of the weights
 * (npx tsx test/judge/write-synthetic.ts --out DIR).
 *
 *   --dtype f16,q4   --threads 2   --runs 3
 *
 * Writes bench/results/classify-<processor>-node-<version>.json.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { duration, timing } from "./lib/statistics.ts";

/** One dtype; seconds. */
export interface ClassifyRow {
  readonly dtype: string;
  readonly threads: number;
  readonly labels: number;
  /** From start to end, the least and the median of the runs. */
  readonly min: number;
  readonly median: number;
  readonly runs: number;
}

/** bench/results/classify-*.json. */
export interface ClassifyResult extends Result<ClassifyRow> {
  readonly bench: "classify";
}

const { values: options } = parseArgs({
  options: {
    dtype: { type: "string", default: "f16,q4" },
    threads: { type: "string", default: `${Math.min(availableParallelism(), 16)}` },
    runs: { type: "string", default: "3" },
  },
});
const weights = process.env.SIGLIP_FULL_DIR;
if (!weights) {
  console.error("bench:classify wants SIGLIP_FULL_DIR: the folder of npx tsx test/judge/write-synthetic.ts --out DIR.");
  process.exit(2);
}
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const LABELS = ["2 cats", "a dog", "a plane"];
const folder = await mkdtemp(join(tmpdir(), "siglip-bench-"));
const rows: ClassifyRow[] = [];
try {
  // The synthetic model has no tokenizer; any of at most as many pieces gives texts to embed.
  for (const name of await readdir(weights)) await symlink(resolve(weights, name), join(folder, name));
  await cp(here("../test/fixtures/tokenizer/t5-like.model"), join(folder, "spiece.model"));
  for (const dtype of options.dtype.split(",")) {
    const seconds: number[] = [];
    for (let run = 0; run < Number(options.runs); run++) seconds.push(await classify(dtype));
    const { min, median, runs } = timing(seconds);
    rows.push({ dtype, threads: Number(options.threads), labels: LABELS.length, min, median, runs });
    console.log(
      `${dtype}, ${options.threads} threads: ${duration(min)} at least, ${duration(median)} median of ${runs}`,
    );
  }
} finally {
  await rm(folder, { recursive: true });
}
const result: ClassifyResult = { bench: "classify", adapter: undefined, environment: environment(), rows };
console.log(`written to ${writeResult(result)}`);

async function classify(dtype: string): Promise<number> {
  const picture = here("../test/fixtures/images/big-1600x1200-420.jpg");
  const command = ["classify", picture, "--labels", ...LABELS, "--model", folder, "--backend", "wasm"];
  const args = [...process.execArgv, here("../src/cli/main.ts"), ...command, "--dtype", dtype, "--threads"];
  const started = performance.now();
  const child = spawn(process.execPath, [...args, options.threads], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`siglip classify ended with ${code}`);
  return (performance.now() - started) / 1000;
}
