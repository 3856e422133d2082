// Our image tower beside onnxruntime's and PyTorch's, a linear layer of ours beside jax-js's and LiteRT.js's: see README.md.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { probe } from "../../kernels/wasm/index.ts";
import { environment, fileName } from "../lib/results.ts";
import { earlierRows, withRow } from "./earlier.ts";
import { DTYPES, ENGINES, type Wanted, wantedRows } from "./engines.ts";
import { type ModelFiles, modelFiles } from "./files.ts";
import { findings, findingTable } from "./goals.ts";
import { goldenInputs } from "./inputs.ts";
import { installedBytes } from "./installed.ts";
import { ALLOWED, type DType, type Figures, type Task } from "./measure.ts";
import type { Adapter } from "./ours.ts";
import { ratio, table } from "./table.ts";

/** Golden cases; NaFlex has another graph. */
const CASES = ["so400m-384", "tiny-hd72", "tiny-hd64", "tiny-giant", "tiny-ragged"];
const PACKAGES = ["onnxruntime-node", "onnxruntime-web", "@jax-js/jax", "@litertjs/core"];
const USAGE = `usage: run.ts [--case so400m-384] [--only ${Object.keys(ENGINES).join()}]
  [--dtype ${DTYPES.join()}] [--threads 1,2] [--batch N] [--seconds 10] [--limit 600] [--out FILE] [--prepare]`;

const options = readOptions();
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const { config, batch, own } = await goldenInputs(options.case, options.batch).catch((error) => fail(error.message));
const task = { case: options.case, batch, limit: options.limit, seconds: options.seconds };
const { adapter } = (await child({ ...task, engine: "adapter", dtype: "f32", limit: 60 })) as { adapter?: Adapter };
const engines =
  options.engines ?? Object.keys(ENGINES).filter((name) => !ENGINES[name].gpu || adapter?.software === false);
const wanted = wantedRows(engines, options.dtypes, options.threads);
if (wanted.length === 0) fail("None of these engines is measured in these precisions.");
if (wanted.some(({ engine }) => /ort|jax|litert/.test(engine)) && !existsSync(here("node_modules"))) {
  fail("The peers are not installed; run npm --prefix bench/peers ci.");
}

const forGpu = engines.some((name) => ENGINES[name].gpu);
const gpu = adapter && `${adapter.description || adapter.device}${adapter.software ? " (software)" : ""}`;
console.log(
  `${options.case}, batch ${batch}, on ${forGpu ? `${gpu ?? "no WebGPU adapter"} and ` : ""}${cpus()[0].model}, ${cpus().length} cores`,
);
const relaxed = probe()?.madd ?? false;
if (!relaxed) {
  console.log(
    `Node ${process.versions.node} has no relaxed SIMD, Node 24 has: ours-wasm runs its plain forms, and LiteRT.js has one thread only.`,
  );
}

const environs = environment();
const graph: Record<string, object> = {};
const results = {
  environment: environs,
  case: options.case,
  batch,
  adapter: (forGpu && adapter) || null,
  versions: Object.fromEntries(PACKAGES.map((name) => [name, version(name)])),
  allowedDistance: ALLOWED,
  limitSeconds: options.limit,
  onnxNodes: graph,
};
const out = options.out ?? here(`../results/peers-${slug()}.json`);
mkdirSync(here("../results"), { recursive: true });
const { dropped, ...earlier } = earlierRows(out, results);
if (dropped) console.log(dropped);
let { rows } = earlier;
Object.assign(graph, earlier.onnxNodes);

const written = new Map<DType, ModelFiles>();
for (const row of wanted) {
  const files = row.engine.startsWith("linear-") ? undefined : await filesFor(row.dtype);
  if (options.prepare) continue;
  process.stdout.write(`${row.engine} ${row.dtype}${row.threads ? `, threads: ${row.threads}` : ""} … `);
  const [busy] = loadavg();
  const figures = await child({ ...task, ...row, files });
  const commit = `${environs.commit.slice(0, 7)}${environs.dirty ? "+" : ""}`;
  rows = withRow(rows, { ...row, installed: await installedBytes(row.engine), busy, commit, ...figures });
  console.log(figures.error ?? figures.note ?? `${figures.median!.toPrecision(3)} s`);
  // What is known so far survives a run that is broken off.
  const measured = rows.map((one) => ({ ...one, ...ratio(one, rows) }));
  writeFileSync(out, `${JSON.stringify({ ...results, findings: found(), rows: measured }, undefined, 2)}\n`);
}
if (!options.prepare) {
  console.log(`\n${table(rows)}`);
  if (found().length > 0) console.log(`\nLeast times:\n\n${findingTable(found())}`);
  console.log(`\n${out}`);
}

/** The project sets itself figures for one picture at so400m's shape. */
function found() {
  return options.case === CASES[0] && batch === own ? findings(rows, config, relaxed) : [];
}

/** The tower's files in a precision, written once. */
async function filesFor(dtype: DType): Promise<ModelFiles> {
  const known = written.get(dtype);
  if (known) return known;
  console.log(`${dtype}: the checkpoint, and the same tower as ONNX, in node_modules/.cache …`);
  const onnx = wanted.some((row: Wanted) => row.engine.startsWith("ort-") && row.dtype === dtype);
  const files = await modelFiles(options.case, config, dtype, batch, onnx);
  if (files.onnx) graph[dtype] = { fused: files.onnx.fused.nodes, plain: files.onnx.plain?.nodes };
  written.set(dtype, files);
  return files;
}

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
      dtype: { type: "string", default: DTYPES.join() },
      only: { type: "string" },
      threads: { type: "string", default: [...new Set([1, Math.min(availableParallelism(), 16)])].join() },
      batch: { type: "string" },
      seconds: { type: "string", default: "10" },
      limit: { type: "string", default: "600" },
      out: { type: "string" },
      prepare: { type: "boolean", default: false },
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
    dtypes: list("dtype", values.dtype, DTYPES) as DType[],
    /** By default those that this machine has something for. */
    engines: values.only === undefined ? undefined : list("only", values.only, Object.keys(ENGINES)),
    threads: values.threads.split(",").map((count) => whole("threads", count)),
    batch: values.batch === undefined ? undefined : whole("batch", values.batch),
    seconds: whole("seconds", values.seconds),
    limit: whole("limit", values.limit),
    out: values.out,
    /** Only the models' files are written. */
    prepare: values.prepare,
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
 * What the rows ran on, Node's major version, and whatever differs from the whole: case, batch. Rows that were measured by
 * several commands stand in one file.
 */
function slug(): string {
  const node = environs.runtime.split(".")[0];
  const ran = (forGpu && (adapter?.device || adapter?.description)) || environs.cpu;
  const other = [options.case !== CASES[0] && options.case, batch !== own && `batch-${batch}`];
  return fileName([ran, node, ...other].filter(Boolean).join(" "));
}
