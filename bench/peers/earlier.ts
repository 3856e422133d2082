import { existsSync, readFileSync } from "node:fs";
import type { Environment } from "../lib/results.ts";
import { type Row, sameRow } from "./table.ts";

/** What has to agree for rows of two runs to stand in one table. */
export interface Comparable {
  readonly environment: Environment;
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** How many nodes of each type the graphs have, by precision. */
  readonly onnxNodes: Readonly<Record<string, object>>;
}

/**
 * The rows of an earlier run that a run may be added to: the same processor, runtime and peers. None, and why in words, where
 * there are some that must not stand beside the new ones.
 */
export function earlierRows(
  path: string,
  now: Comparable,
): { rows: Row[]; onnxNodes?: Comparable["onnxNodes"]; dropped?: string } {
  if (!existsSync(path)) return { rows: [] };
  const before = JSON.parse(readFileSync(path, "utf8")) as Comparable & { rows: Row[] };
  const key = ({ environment, versions }: Comparable) => {
    const { runtime, os, cpu, cores } = environment;
    return JSON.stringify({ runtime, os, cpu, cores, versions });
  };
  if (key(before) === key(now)) return before;
  return { rows: [], dropped: `${path} was measured with another runtime, processor or peers: it is begun anew` };
}

/** Rows with one more, which takes the place of an earlier one of the same measurement. */
export function withRow(rows: readonly Row[], row: Row): Row[] {
  const index = rows.findIndex((other) => sameRow(other, row));
  return index < 0 ? [...rows, row] : rows.with(index, row);
}
