/**
 * `npm run bench:cold`: the demo model on the wasm backend in processes that have just started, from the moment at which their
 * modules are loaded to the first picture's embedding and the first text's. Each precision with an empty cache, where kernel forms
 * are tried, and then with what the first process kept.
 *
 *   --dtype f16,q4   --runs 5
 *
 * Writes bench/results/cold-<processor>-node-<version>.json.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { duration, timing } from "./lib/statistics.ts";

/** Seconds since the modules were loaded, the least and the median of the runs. */
interface Since {
  readonly min: number;
  readonly median: number;
}

/** One precision, with an empty cache or with one that was filled. */
export interface ColdRow {
  readonly dtype: string;
  readonly cache: "empty" | "filled";
  /** Threads and instructions. */
  readonly on: string;
  readonly runs: number;
  /** Until the model was there, the first picture embedded, and after it the first text. */
  readonly load: Since;
  readonly image: Since;
  readonly text: Since;
}

/** bench/results/cold-*.json. */
export interface ColdResult extends Result<ColdRow> {
  readonly bench: "cold";
}

/** What a process prints; milliseconds. */
interface Start {
  readonly load: number;
  readonly image: number;
  readonly text: number;
  readonly on: string;
}

const { values: options } = parseArgs({
  options: { dtype: { type: "string", default: "f16,q4" }, runs: { type: "string", default: "5" } },
});
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const picture = here("../weights/demo/examples/plane.jpg");
// As the package is, with the demo model in a module of its own; where it finds the packages of this checkout.
const outdir = here("../dist/bench/cold");
await build({
  ...{ entryPoints: [here("cold/child.ts")], outdir, bundle: true, splitting: true, platform: "node", format: "esm" },
  ...{ target: "node20", packages: "external", logLevel: "error" },
});
const rows: ColdRow[] = [];
for (const dtype of options.dtype.split(",")) {
  for (const cache of ["empty", "filled"] as const) {
    const folder = mkdtempSync(join(tmpdir(), "siglip-bench-"));
    const starts: Start[] = [];
    if (cache === "filled") start(folder, dtype);
    for (let run = 0; run < Number(options.runs); run++) {
      if (cache === "empty") rmSync(folder, { recursive: true, force: true });
      starts.push(start(folder, dtype));
    }
    rmSync(folder, { recursive: true, force: true });
    const of = (part: "load" | "image" | "text") => {
      const { min, median } = timing(starts.map((one) => one[part] / 1000));
      return { min, median };
    };
    const head = { dtype, cache, on: starts[0].on, runs: starts.length };
    const row: ColdRow = { ...head, load: of("load"), image: of("image"), text: of("text") };
    rows.push(row);
    const shown = (["load", "image", "text"] as const).map((part) => `${part} ${duration(row[part].min)}`).join(", ");
    console.log(`${dtype}, cache ${cache}, ${row.on}: ${shown} at least; picture ${duration(row.image.median)} median`);
  }
}
const result: ColdResult = { bench: "cold", adapter: undefined, environment: environment(), rows };
console.log(`written to ${writeResult(result)}`);

function start(cache: string, dtype: string): Start {
  const env = { ...process.env, XDG_CACHE_HOME: cache };
  const stdout = execFileSync(process.execPath, [join(outdir, "child.js"), picture, dtype], { env, encoding: "utf8" });
  return JSON.parse(stdout);
}
