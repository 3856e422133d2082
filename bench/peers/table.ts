import { ENGINES } from "./engines.ts";
import type { Figures } from "./measure.ts";

/** One row of the results. */
export interface Row extends Figures {
  readonly engine: string;
  readonly dtype: string;
  /** Those that were asked for, of engines that can be told. */
  readonly threads?: number;
  /** What the row needs on disk at run time, in bytes, model files aside; absent where no npm package brings it. */
  readonly installed?: number;
  /** The machine's load average just before: others at work, beside what the row before left. */
  readonly busy: number;
  /** What was measured: the commit, with a "+" where the working tree differed from it. */
  readonly commit?: string;
}

/** Whether two rows are of the same measurement. */
export function sameRow(a: Row, b: Row): boolean {
  return a.engine === b.engine && a.dtype === b.dtype && a.threads === b.threads;
}

/** How many times as long as ours a row took: above 1 it is slower than ours. */
export interface Ratio {
  readonly timesOurs?: number;
  /** The figures compared: medians, or first runs (compilation and all) where either row has nothing else. */
  readonly ratioOf?: "median" | "first";
}

/** Of ours, what has the operands of others' integers. */
const ALIKE: Readonly<Record<string, string>> = { int8: "i8", int4: "q4" };

/**
 * A row beside ours of the same precision: what is there for a GPU beside ours on WebGPU, all else beside ours in wasm on as
 * many threads, or on WebGPU where that was not measured. A linear layer stands beside our linear layer. Nothing of a wrong row
 * or without ours.
 */
export function ratio(row: Row, rows: readonly Row[]): Ratio {
  const prefix = row.engine.startsWith("linear-") ? "linear-" : "";
  const dtype = ALIKE[row.dtype] ?? row.dtype;
  const wasm = (other: Row) => other.engine === `${prefix}ours-wasm` && other.threads === (row.threads ?? 1);
  const webgpu = (other: Row) => other.engine === `${prefix}ours-webgpu`;
  const alike = rows.filter((other) => other.dtype === dtype);
  const ours = (!ENGINES[row.engine]?.gpu && alike.find(wasm)) || alike.find(webgpu);
  if (!ours || ours.error !== undefined || row.error !== undefined) return {};
  for (const ratioOf of ["median", "first"] as const) {
    const [theirs, own] = [row[ratioOf], ours[ratioOf]];
    if (theirs !== undefined && own !== undefined) return { timesOurs: theirs / own, ratioOf };
  }
  return {};
}

/** A ratio in a table's cell, labelled where it is of first runs. */
export function ratioCell({ timesOurs, ratioOf }: Ratio): string {
  if (timesOurs === undefined) return "";
  return `${timesOurs.toPrecision(3)}${ratioOf === "first" ? " (first)" : ""}`;
}

const COLUMNS: [string, (row: Row, rows: readonly Row[]) => string][] = [
  ["", (row) => row.engine],
  ["dtype", (row) => row.dtype],
  ["threads", (row) => String(row.threads ?? "")],
  ["load s", (row) => time(row.load)],
  ["first s", (row) => time(row.first)],
  ["min s", (row) => time(row.min)],
  ["median s", (row) => time(row.median)],
  ["times ours", (row, rows) => ratioCell(ratio(row, rows))],
  ["runs", (row) => String(row.runs ?? "")],
  ["peak MB", (row) => (row.peak === undefined ? "" : (row.peak / 1e6).toFixed(0))],
  ["installed MB", (row) => (row.installed === undefined ? "" : (row.installed / 1e6).toFixed(1))],
  ["1 - cosine", (row) => row.distance?.toExponential(1) ?? ""],
  ["nmse", (row) => row.nmse?.toExponential(1) ?? ""],
  ["largest diff", (row) => row.difference?.toExponential(1) ?? ""],
  ["busy", (row) => row.busy.toFixed(1)],
  ["", (row) => row.error ?? row.note ?? row.on ?? ""],
];

/** The rows as lines of equal columns, a heading first. */
export function table(rows: readonly Row[]): string {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row, rows)))];
  const last = COLUMNS.length - 1;
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  const pad = (cell: string, column: number) =>
    column === last ? cell : column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  return cells.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}

/** Three digits. */
function time(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  return seconds >= 100 ? seconds.toFixed(0) : seconds.toPrecision(3);
}
