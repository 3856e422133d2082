import type { Environment } from "../lib/results.ts";
import { duration, table } from "../lib/statistics.ts";
import type { Row } from "./table.ts";

/** A file of results of bench/peers, as far as a headline says of it. */
export interface Headline {
  readonly case: string;
  readonly batch: number;
  readonly adapter: unknown;
  readonly environment: Environment;
  readonly rows: readonly Row[];
}

/** What a precision of ours is compared with: peers quantise in their own ways, with about the same error. */
const ALIKE: Readonly<Record<string, string>> = { f32: "f32", i8: "int8", q4: "int4" };

/**
 * One picture through so400m's image tower without a GPU, on all threads, by machine and precision: ours in WebAssembly
 * beside onnxruntime in WebAssembly and as a native program.
 */
export function headlineTable(results: readonly Headline[]): string {
  const shown = results.filter((result) => !result.adapter && result.batch === 1 && result.case === "so400m-384");
  const cells = shown.flatMap(({ environment: { cpu, cores, runtime }, rows }) => {
    const time = (engine: string, dtype: string | undefined) => {
      const row = rows.find((row) => row.engine === engine && row.dtype === dtype && (row.threads ?? cores) === cores);
      return row && !row.error ? duration(row.median ?? Number.NaN) : "";
    };
    const where = `${cpu}, ${cores} cores, ${runtime.split(".")[0]}`;
    const ours = rows.filter(({ engine, threads }) => engine === "ours-wasm" && threads === cores);
    return ours.map(({ dtype }) => [
      where,
      dtype,
      time("ours-wasm", dtype),
      time("ort-wasm", ALIKE[dtype]),
      time("ort-cpu", ALIKE[dtype]),
    ]);
  });
  const newestFirst = cells.toSorted(([a], [b]) => b.localeCompare(a, "en", { numeric: true }));
  return table(["", "dtype", "siglip, wasm", "onnxruntime-web, wasm", "onnxruntime-node, native"], newestFirst, 2);
}
