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

/** What was wanted of our wasm backend beside what the least times of these rows say; empty without rows to compare. */
export function goalTable(rows: readonly Row[], config: SiglipConfig, relaxed: boolean): string {
  const find = (engine: string, dtype: string, threads: number) =>
    rows.find((row) => row.engine === engine && row.dtype === dtype && (row.threads ?? 1) === threads && !row.error);
  const counts = [...new Set(rows.flatMap(({ threads }) => threads ?? []))].sort((a, b) => a - b);
  const lines: string[][] = [];
  const errors = (...rows: Row[]) => rows.map(({ distance }) => distance!.toExponential(1)).join(" / ");
  for (const threads of counts) {
    for (const { ours, peer, times } of relaxed ? RELAXED : PLAIN) {
      const [own, other] = [find(...ours, threads), find(...peer, threads)];
      if (own?.min === undefined || other?.min === undefined) continue;
      const found = `${(other.min / own.min).toFixed(2)} times as fast`;
      const wanted = times[threads] === undefined ? "" : `${times[threads]} times`;
      lines.push([`${ours.join(" ")} beside ${peer.join(" ")}`, String(threads), found, wanted, errors(own, other)]);
    }
    for (const [dtype, seconds] of Object.entries(SECONDS)) {
      const tower = find("ours-wasm", dtype, threads);
      if (tower?.min === undefined) continue;
      if (threads === 2 && relaxed) {
        lines.push([`ours-wasm ${dtype}`, "2", `${tower.min.toFixed(2)} s`, `${seconds} s`, errors(tower)]);
      }
      const layer = find(LINEAR, dtype, threads);
      if (layer?.min === undefined) continue;
      const { tokens, hidden, mlp } = config.vision;
      const share = towerFlops(config, "image") / tower.min / ((2 * tokens * hidden * mlp) / layer.min);
      const title = `ours-wasm ${dtype}: the tower's rate of its linear layer's`;
      lines.push([title, String(threads), percent(share), percent(SHARE), ""]);
    }
  }
  return lines.length > 0 ? table(["", "threads", "found", "wanted", "1 - cosine"], lines) : "";
}
