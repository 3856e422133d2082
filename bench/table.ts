/**
 * `npx tsx bench/table.ts`: writes the tables made from bench/results/*.json into the READMEs of the project, of this
 * folder and of the kernels, between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`, NAME being headline, model, start,
 * load, kernels, wasm or peers. With --check it writes nothing and ends with 1 where a file differs from what the
 * results say.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { KernelResult } from "./kernels.ts";
import type { Ceilings } from "./lib/ceilings.ts";
import type { Adapter } from "./lib/device.ts";
import { type Environment, readResults } from "./lib/results.ts";
import { digits, duration, percent, rate, table } from "./lib/statistics.ts";
import type { LoadResult } from "./load.ts";
import type { ModelResult } from "./model.ts";
import type { KernelRow } from "./operations/measure.ts";
import { type Finding, findingTable } from "./peers/goals.ts";
import { headlineTable } from "./peers/headline.ts";
import { type Row as PeerRow, ratio, ratioCell } from "./peers/table.ts";
import type { StartResult } from "./start.ts";
import type { WasmResult } from "./wasm/linear.ts";

/** What bench/peers writes, as far as it is shown. */
interface PeerResult {
  readonly case: string;
  readonly batch: number;
  readonly adapter: Adapter | null;
  readonly environment: Environment;
  readonly rows: readonly PeerRow[];
  /** Of files that have them. */
  readonly findings?: readonly Finding[];
}

const FILES = ["README.md", "bench/README.md", "kernels/README.md"];
const TABLES: Readonly<Record<string, () => string>> = {
  headline: () => headlineTable(readResults<PeerResult>("peers")),
  model: () => readResults<ModelResult>("model").map(modelTable).join("\n\n"),
  kernels: () => readResults<KernelResult>("kernels").map(kernelTable).join("\n\n"),
  wasm: () => readResults<WasmResult>("wasm").map(wasmTable).join("\n\n"),
  start: () => readResults<StartResult>("start").map(startTable).join("\n\n"),
  load: () => readResults<LoadResult>("load").map(loadTable).join("\n\n"),
  peers: () => readResults<PeerResult>("peers").map(peerTable).join("\n\n"),
};

/** A text with the tables between its markers made anew. */
export function fill(text: string): string {
  return text.replace(
    /(<!-- bench:(\w+) -->\n)[\s\S]*?(<!-- \/bench:\2 -->)/g,
    (all, begin: string, name: string, end: string) => (name in TABLES ? `${begin}\n${TABLES[name]()}\n\n${end}` : all),
  );
}

/** Where and with what a result was measured. */
function heading(
  adapter: Adapter | undefined,
  { runtime, webgpu, cpu, cores, commit, dirty, date, busy }: Environment,
): string {
  const device = adapter ? adapter.description || adapter.device : "No GPU";
  const software = adapter?.software ? ", **a software adapter, which says nothing about a GPU**" : "";
  const portable = adapter?.portable ? ", its matrix units left unused" : "";
  const busyNote = busy > cores ? `; others were at work on the machine (load ${digits(busy)})` : "";
  const tree = `${commit.slice(0, 7)}${dirty ? " and changes" : ""}`;
  return `${device}${software}${portable}; ${cpu}, ${cores} cores; ${runtime}, webgpu ${webgpu}; ${date}, ${tree}${busyNote}:`;
}

/** What the device can do at most, in words. */
function most({ f32, f16, matrix, copy }: Ceilings): string {
  const rates = [
    `${rate(f32)} of f32 multiply-adds`,
    ...(f16 ? [`${rate(f16)} of f16`] : []),
    ...(matrix ? [`${rate(matrix)} on matrix units`] : []),
    `${digits(copy / 1e9)} GB/s of copying`,
  ];
  return ` At most ${rates.join(", ")}.`;
}

function modelTable({ adapter, environment, ceilings, rows, unfinished }: ModelResult): string {
  const named = rows.some(({ on }) => on);
  const head = [
    "tower",
    "batch",
    "weights",
    "activations",
    "median",
    "each",
    "in kernels",
    "items/s",
    "rate",
    "of ceiling",
    "first",
    "load",
    "memory",
    "1 - cosine",
    ...(named ? [""] : []),
  ];
  const cells = rows.map((row) => [
    row.tower,
    String(row.batch),
    row.weights,
    row.activations,
    row.error ? "wrong" : duration(row.median!),
    duration((row.median ?? Number.NaN) / row.batch),
    duration(row.device ?? Number.NaN),
    row.error ? "" : digits(row.itemsPerSecond!),
    row.error ? "" : rate(row.flopsPerSecond!),
    row.ofCeiling === undefined ? "" : `${percent(row.ofCeiling)} of ${row.ceiling}`,
    duration(row.first),
    duration(row.load),
    `${digits((row.bytes ?? row.weightBytes) / 1e9)} GB`,
    row.distance.toExponential(1),
    ...(named ? [row.on ?? ""] : []),
  ]);
  const whole = unfinished ? " Broken off." : "";
  return `${heading(adapter, environment)}${ceilings ? most(ceilings) : ""}${whole}\n\n${table(head, cells, 4)}`;
}

function startTable({ adapter, environment, model, weights, activations, batch, pinned, rows }: StartResult): string {
  const head = ["start", "part", "pipelines", "compiling", "tried", "trying", "first", "median", "beyond the work"];
  const cells = rows.map((row) => [
    String(row.start),
    row.part,
    String(row.pipelines),
    duration(row.compile),
    String(row.tried),
    duration(row.trial),
    duration(row.first ?? Number.NaN),
    row.error ? "wrong" : duration(row.median ?? Number.NaN),
    duration(row.extra),
  ]);
  const forms = pinned ? ", kernel forms pinned" : "";
  const what = `${model}, weights ${weights}, activations ${activations}, batch ${batch}${forms}.`;
  return `${what} ${heading(adapter, environment)}\n\n${table(head, cells, 2)}`;
}

function loadTable({ adapter, environment, rows }: LoadResult): string {
  const head = [
    "weights",
    "towers",
    "rounded on",
    "of the file",
    "load",
    "cat",
    "to the device",
    "writeBuffer",
    "ratio",
    "host memory",
  ];
  const cells = rows.map((row) => [
    row.dtype,
    row.towers,
    row.rounding ?? "",
    `${digits(row.bytes / 1e9)} GB`,
    duration(row.load),
    duration(row.cat),
    `${digits(row.written / 1e9)} GB`,
    duration(row.writeBuffer),
    digits(row.ratio),
    `${digits(row.host / 1e6)} MB`,
  ]);
  return `${heading(adapter, environment)}\n\n${table(head, cells, 3)}`;
}

/** The fastest form for every operation, shape and precision; the JSON file has all. */
function kernelTable({ adapter, environment, ceilings, rows, unfinished }: KernelResult): string {
  const best = new Map<string, KernelRow>();
  for (const row of rows) {
    if (row.median === undefined) continue;
    const key = [row.op, row.layer, row.shape, row.weights, row.activations].join();
    const found = best.get(key);
    if (!found || row.median < found.median!) best.set(key, row);
  }
  const head = ["operation", "shape", "weights", "activations", "fastest form", "median", "rate", "GB/s", "of ceiling"];
  const cells = [...best.values()].map((row) => [
    row.op === "linear" || row.op === "attention" ? `${row.op}, ${row.layer}` : row.op,
    row.shape!,
    row.weights ?? "",
    row.activations!,
    row.form === "one" ? "" : row.form,
    duration(row.median!),
    row.flopsPerSecond && row.ceiling !== "copy" ? rate(row.flopsPerSecond) : "",
    digits(row.bytesPerSecond! / 1e9),
    `${percent(row.ofCeiling)} of ${row.ceiling}`,
  ]);
  const count = (what: keyof KernelRow) => rows.filter((row) => row[what] !== undefined).length;
  const counts = `${count("median")} timed, ${count("skipped")} skipped, ${count("error")} wrong${unfinished ? ", then broken off" : ""}`;
  return `${heading(adapter, environment)} ${counts}.${most(ceilings)}\n\n${table(head, cells, 5)}`;
}

/** Every form of an MLP's first layer on one thread, by rows, and of attention; the JSON file has all shapes. */
function wasmTable({ environment, ceilings, rows }: WasmResult): string {
  const head = ["shape", "form", "time", "rate", "of registers", "packed", "error"];
  const shown = rows.filter(({ shape, form }) => shape.endsWith(" x 1152 x 4304") || form.startsWith("attention"));
  const cells = shown.map((row) => [
    row.shape,
    row.form,
    row.error ? "wrong" : duration(row.seconds!),
    row.error ? "" : rate(row.flopsPerSecond!),
    percent(row.ofCeiling),
    row.packed ? `${digits(row.packed / 1e6)} M/s` : "",
    row.nmse.toExponential(1),
  ]);
  const loops = Object.entries(ceilings).map(([name, most]) => `${name} ${rate(most)}`);
  const most = `In registers alone, one thread: ${loops.join(", ")}.`;
  return `${heading(undefined, environment)} ${most}\n\n${table(head, cells, 2)}`;
}

function peerTable({ adapter, environment, rows, ...result }: PeerResult): string {
  const head = [
    "",
    "dtype",
    "threads",
    "median",
    "times ours",
    "first",
    "load",
    "resident",
    "installed",
    "1 - cosine",
    "",
  ];
  const cells = rows.map((row) => [
    row.engine,
    row.dtype,
    String(row.threads ?? ""),
    duration(row.median ?? Number.NaN),
    ratioCell(ratio(row, rows)),
    duration(row.first ?? Number.NaN),
    duration(row.load ?? Number.NaN),
    row.peak === undefined ? "" : `${digits(row.peak / 1e9)} GB`,
    row.installed === undefined ? "" : `${digits(row.installed / 1e6)} MB`,
    row.distance?.toExponential(1) ?? "",
    (row.error ?? row.note ?? row.on ?? "").replaceAll("|", "\\|"),
  ]);
  const goals = result.findings?.length ? `\n\nIts least times:\n\n${findingTable(result.findings)}` : "";
  return `${result.case}, batch ${result.batch}. ${heading(adapter ?? undefined, environment)}\n\n${table(head, cells, 2)}${goals}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes("--check");
  for (const name of FILES) {
    const path = fileURLToPath(new URL(`../${name}`, import.meta.url));
    if (!existsSync(path)) continue;
    const text = readFileSync(path, "utf8");
    const made = fill(text);
    if (made === text) continue;
    if (check) {
      console.error(`${name} is not what bench/results says: run npx tsx bench/table.ts.`);
      process.exitCode = 1;
    } else {
      writeFileSync(path, made);
      console.log(name);
    }
  }
}
