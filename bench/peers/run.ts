// Our image tower beside onnxruntime's, PyTorch's and jax-js's: see README.md.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { environment } from "../lib/results.ts";
import { modelFiles } from "./files.ts";
import { goldenInputs } from "./inputs.ts";
import { installedBytes } from "./installed.ts";
import { ALLOWED, type Figures, type Task } from "./measure.ts";
import type { DType } from "./onnx.ts";
import type { Adapter } from "./ours.ts";
import { type Row, ratio, table } from "./table.ts";

const ENGINES = [
  ...["ours-webgpu", "ort-webgpu", "ort-webgpu-plain", "torch", "ort-cpu", "ort-wasm", "ours-cpu"],
  ...["linear-ours-webgpu", "linear-jax-webgpu", "linear-jax-wasm", "linear-ours-cpu"],
];
/** Golden cases; NaFlex has another graph. */
const CASES = ["so400m-384", "tiny-hd72", "tiny-hd64", "tiny-giant", "tiny-ragged"];
const PACKAGES = ["onnxruntime-node", "onnxruntime-web", "@jax-js/jax"];
const USAGE = `usage: run.ts [--case so400m-384] [--dtype f32,f16] [--only ${ENGINES.join(",")}] [--batch N] [--limit SECONDS] [--out FILE]`;

const options = readOptions();
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const wantsOrt = options.engines.some((engine) => engine.startsWith("ort-"));
if ((wantsOrt || options.engines.some((engine) => engine.includes("jax"))) && !existsSync(here("node_modules"))) {
  fail("The peers are not installed; run npm --prefix bench/peers ci.");
}

const { config, batch, own } = await goldenInputs(options.case, options.batch).catch((error) => fail(error.message));
const { adapter } = (await child({ engine: "adapter", dtype: "f32", case: options.case, batch, limit: 60 })) as {
  adapter?: Adapter;
};
console.log(
  `${options.case}, batch ${batch}, on ${adapter ? `${adapter.description || adapter.device}${adapter.software ? " (software)" : ""}` : "no WebGPU adapter"} and ${cpus()[0].model}, ${cpus().length} cores`,
);

const graph: Record<string, object> = {};
const rows: Row[] = [];
const results = {
  environment: environment(),
  case: options.case,
  batch,
  /** Some of the rows were asked for. */
  part: options.engines.length < ENGINES.length,
  adapter: adapter ?? null,
  versions: Object.fromEntries(PACKAGES.map((name) => [name, version(name)])),
  allowedDistance: ALLOWED,
  limitSeconds: options.limit,
  onnxNodes: graph,
};
const out = options.out ?? here(`../results/peers-${slug()}.json`);
mkdirSync(here("../results"), { recursive: true });

for (const dtype of options.dtypes) {
  console.log(`${dtype}: the checkpoint, and the same tower as ONNX, in node_modules/.cache …`);
  const files = await modelFiles(options.case, config, dtype, batch, wantsOrt);
  if (files.onnx) graph[dtype] = { fused: files.onnx.fused.nodes, plain: files.onnx.plain.nodes };
  for (const engine of options.engines) {
    process.stdout.write(`${engine} ${dtype} … `);
    const [busy] = loadavg();
    const figures = await child({ engine, dtype, case: options.case, batch, files, limit: options.limit });
    rows.push({ engine, dtype, installed: await installedBytes(engine), busy, ...figures });
    console.log(figures.error ?? figures.note ?? `${figures.median!.toPrecision(3)} s`);
    // What is known so far survives a run that is broken off.
    const measured = rows.map((row) => ({ ...row, ...ratio(row, rows) }));
    writeFileSync(out, `${JSON.stringify({ ...results, rows: measured }, undefined, 2)}\n`);
  }
}
console.log(`\n${table(rows)}\n\n${out}`);

/** Runs one row in a process of its own, which is ended at its limit; what it told until then is kept. */
async function child(task: Task): Promise<Figures & Record<string, unknown>> {
  // The loader that runs this file runs the child's too.
  const started = spawn(process.execPath, [...process.execArgv, here("child.ts"), JSON.stringify(task)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [told, complaints] = ["", ""];
  started.stdout.on("data", (data) => (told += data));
  started.stderr.on("data", (data) => (complaints = (complaints + data).slice(-2000)));
  const stop = () => {
    started.kill("SIGKILL");
    process.exit(1);
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    started.kill("SIGKILL");
  }, task.limit * 1000);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    started.on("error", reject);
    started.on("close", (...end) => resolve(end));
  });
  clearTimeout(timer);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  const lines = told.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"));
  const figures = Object.assign({}, ...lines.map((line) => JSON.parse(line))) as Figures & Record<string, unknown>;
  if (late) {
    const stage =
      figures.first === undefined ? (figures.load === undefined ? "loading" : "the first run") : "timed runs";
    return { ...figures, error: `stopped at the limit of ${task.limit} s, during ${stage}` };
  }
  const { error, note, median } = figures;
  const finished = (error ?? note ?? median) !== undefined || task.engine === "adapter";
  if (code === 0 && finished) return figures;
  const reason = complaints.trim().split("\n").at(-1) || "it said nothing";
  return { ...figures, error: `the process ended with ${signal ?? code}: ${reason.slice(0, 300)}` };
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      case: { type: "string", default: "so400m-384" },
      dtype: { type: "string", default: "f32,f16" },
      only: { type: "string", default: ENGINES.join() },
      batch: { type: "string" },
      limit: { type: "string", default: "600" },
      out: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const list = (what: string, text: string, allowed: readonly string[]) => {
    const names = text.split(",");
    const bad = names.find((name) => !allowed.includes(name));
    if (bad !== undefined) fail(`wanted --${what} among ${allowed.join(", ")}, found "${bad}"`);
    return names;
  };
  const whole = (what: string, text: string) => {
    if (!/^[1-9]\d{0,5}$/.test(text)) fail(`wanted --${what} to be a whole number above 0, found "${text}"`);
    return Number(text);
  };
  return {
    case: list("case", values.case, CASES)[0],
    dtypes: list("dtype", values.dtype, ["f32", "f16"]) as DType[],
    engines: list("only", values.only, ENGINES),
    batch: values.batch === undefined ? undefined : whole("batch", values.batch),
    limit: whole("limit", values.limit),
    out: values.out,
  };
}

function fail(message: string): never {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}

/** Undefined where the package is not installed. */
function version(name: string): string | undefined {
  const file = here(`node_modules/${name}/package.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : undefined;
}

/**
 * The adapter's name and whatever differs from the whole: case, batch, a single dtype, "part" for some rows only. No run
 * writes over the result of one that did more.
 */
function slug(): string {
  const name = (adapter?.device || adapter?.description || "cpu").toLowerCase();
  const parts = [
    name.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, ""),
    options.case !== "so400m-384" && options.case,
    batch !== own && `batch-${batch}`,
    options.dtypes.length === 1 && options.dtypes[0],
    results.part && "part",
  ];
  return parts.filter(Boolean).join("-");
}
