import type { SiglipConfig } from "../../src/model/config.ts";
import { percent, table } from "../lib/statistics.ts";
import { towerFlops } from "../lib/work.ts";
import type { Row } from "./table.ts";

/** Ours beside a peer, both by engine and precision. */
interface Goal {
  readonly ours: readonly [engine: string, dtype: string];
  readonly peer: readonly [engine: string, dtype: string];
  /** How many times as fast ours should be, by threads. */
  readonly times: Readonly<Record<number, number>>;
}

const ORT = ["ort-wasm", "f32"] as const;
const LINEAR = "linear-ours-wasm";

/** What this project sets itself where the engine has relaxed SIMD. */
const RELAXED: readonly Goal[] = [
  { ours: ["ours-wasm", "f32"], peer: ORT, times: { 1: 1.6, 2: 2 } },
  { ours: ["ours-wasm", "f16"], peer: ORT, times: { 1: 2.3 } },
  { ours: ["ours-wasm", "q8"], peer: ORT, times: { 1: 2.6 } },
  { ours: ["ours-wasm", "q8"], peer: ["ort-wasm", "int8"], times: { 1: 1.2, 2: 1.2 } },
  { ours: ["ours-wasm", "q4"], peer: ORT, times: { 1: 4 } },
  { ours: ["ours-wasm", "q4"], peer: ["ort-wasm", "int4"], times: {} },
  { ours: ["ours-wasm", "i8"], peer: ["ort-wasm", "int8"], times: {} },
  { ours: [LINEAR, "f32"], peer: ["linear-jax-wasm", "f32"], times: { 1: 1.7, 2: 1.6 } },
  { ours: [LINEAR, "f32"], peer: ["linear-litert", "f32"], times: { 1: 1.35, 2: 1.3 } },
  { ours: [LINEAR, "i8"], peer: ["linear-litert", "int8"], times: { 1: 1.4, 2: 1.4 } },
  { ours: [LINEAR, "q4"], peer: ["linear-litert", "int8"], times: { 1: 1.4, 2: 1.4 } },
  { ours: [LINEAR, "q4"], peer: ["linear-litert", "int4"], times: {} },
];

/** And where it has none. */
const PLAIN: readonly Goal[] = [{ ours: ["ours-wasm", "f32"], peer: ORT, times: { 1: 1.1, 2: 1.1 } }];

/** Seconds of so400m's image tower on two threads. */
const SECONDS: Readonly<Record<string, number>> = { f32: 7.5, f16: 5.2, q8: 4.8, i8: 3.5, q4: 3.3 };

/** The whole tower's rate as a share of one linear layer's. */
const SHARE = 0.85;

/** A figure that this project sets itself, beside what the least times of rows say. */
export interface Finding {
  readonly what: string;
  readonly threads: number;
  readonly found: string;
  /** Empty where nothing is set. */
  readonly wanted: string;
  /** 1 - cosine of ours and of the peer. */
  readonly errors: string;
}

/** Those of our wasm backend for which there are rows. */
export function findings(rows: readonly Row[], config: SiglipConfig, relaxed: boolean): Finding[] {
  const find = (engine: string, dtype: string, threads: number) =>
    rows.find((row) => row.engine === engine && row.dtype === dtype && (row.threads ?? 1) === threads && !row.error);
  const counts = [...new Set(rows.flatMap(({ threads }) => threads ?? []))].sort((a, b) => a - b);
  const found: Finding[] = [];
  const errors = (...rows: Row[]) => rows.map(({ distance }) => distance!.toExponential(1)).join(" / ");
  for (const threads of counts) {
    for (const { ours, peer, times } of relaxed ? RELAXED : PLAIN) {
      const [own, other] = [find(...ours, threads), find(...peer, threads)];
      if (own?.min === undefined || other?.min === undefined) continue;
      found.push({
        what: `${ours.join(" ")} beside ${peer.join(" ")}`,
        threads,
        found: `${(other.min / own.min).toFixed(2)} times as fast`,
        wanted: times[threads] === undefined ? "" : `${times[threads]} times`,
        errors: errors(own, other),
      });
    }
    for (const [dtype, seconds] of Object.entries(SECONDS)) {
      const tower = find("ours-wasm", dtype, threads);
      if (tower?.min === undefined) continue;
      if (threads === 2 && relaxed) {
        const [took, wanted] = [`${tower.min.toFixed(2)} s`, `${seconds} s`];
        found.push({ what: `ours-wasm ${dtype}`, threads, found: took, wanted, errors: errors(tower) });
      }
      const layer = find(LINEAR, dtype, threads);
      if (layer?.min === undefined) continue;
      const { tokens, hidden, mlp } = config.vision;
      const share = towerFlops(config, "image") / tower.min / ((2 * tokens * hidden * mlp) / layer.min);
      const what = `ours-wasm ${dtype}: the tower's rate of its linear layer's`;
      found.push({ what, threads, found: percent(share), wanted: percent(SHARE), errors: "" });
    }
  }
  return found;
}

/** As a table. */
export function findingTable(found: readonly Finding[]): string {
  const cells = found.map(({ what, threads, found, wanted, errors }) => [what, String(threads), found, wanted, errors]);
  return table(["", "threads", "found", "wanted", "1 - cosine"], cells);
}
