import { SiglipError } from "../../error.ts";
import type { Choices } from "./specialise.ts";

/** A way to compute `linear`: a kernel, its constants, and how many rows and columns of y a workgroup makes. */
export interface LinearVariant {
  readonly kernel: "linear" | "linear_direct";
  readonly choices: Choices;
  readonly rows: number;
  readonly columns: number;
}

function tiled(BM: number, BN: number, BK: number, TM: number, TN: number): LinearVariant {
  return { kernel: "linear", choices: { BM, BN, BK, TM, TN }, rows: BM, columns: BN };
}

/** All forms of `linear`, by the name under which one can be pinned. */
export const LINEAR = {
  "tile-128x64": tiled(128, 64, 16, 8, 4),
  "tile-64x64": tiled(64, 64, 16, 4, 4),
  "tile-32x64": tiled(32, 64, 32, 4, 4),
  direct: { kernel: "linear_direct", choices: { THREADS_M: 4, THREADS_N: 8 }, rows: 16, columns: 32 },
} as const satisfies Record<string, LinearVariant>;

export type LinearName = keyof typeof LINEAR;

/** Workgroups below which a device has idle cores, so that smaller tiles are faster. */
const ENOUGH_GROUPS = 128;

/** The form for y [rows, columns]: the largest tile that still makes enough workgroups. */
export function linearVariant(rows: number, columns: number): LinearName {
  if (rows <= 16) return "direct";
  for (const name of ["tile-128x64", "tile-64x64"] as const) {
    const tile = LINEAR[name];
    if (Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns) >= ENOUGH_GROUPS) return name;
  }
  return "tile-32x64";
}

/** Constants of kernels/attention.wgsl: queries of a workgroup, keys of a step, threads that share a query. */
export type AttentionTile = { QUERIES: number; KEYS: number; LANES: number };

/** By the name under which one can be pinned; the first that fits is taken. */
export const ATTENTION = {
  "32x16": { QUERIES: 32, KEYS: 16, LANES: 4 },
  "16x16": { QUERIES: 16, KEYS: 16, LANES: 4 },
  "16x8": { QUERIES: 16, KEYS: 8, LANES: 8 },
  "8x4": { QUERIES: 8, KEYS: 4, LANES: 4 },
  "2x4": { QUERIES: 2, KEYS: 4, LANES: 32 },
  // For the single query of the MAP head.
  "1x32": { QUERIES: 1, KEYS: 32, LANES: 32 },
  "1x4": { QUERIES: 1, KEYS: 4, LANES: 32 },
} as const satisfies Record<string, AttentionTile>;

export type AttentionName = keyof typeof ATTENTION;

/** The least workgroup memory that every WebGPU device has, in bytes. */
const WORKGROUP_MEMORY = 16384;

/** Whether a tile for heads of `head` features fits the least workgroup memory. */
export function fits({ QUERIES, KEYS }: AttentionTile, head: number): boolean {
  return 4 * ((QUERIES + KEYS) * Math.ceil(head / 4) * 4 + QUERIES * KEYS) <= WORKGROUP_MEMORY;
}

/** The tile for heads of `head` features: the preferred one where it fits, else the largest that does. */
export function attentionTile(head: number, queries: number, preferred?: AttentionName): AttentionTile {
  const names: readonly AttentionName[] = queries === 1 ? ["1x32", "1x4"] : ["32x16", "16x16", "16x8", "8x4", "2x4"];
  const all = preferred ? [preferred, ...names] : names;
  const found = all.find((name) => fits(ATTENTION[name], head));
  if (!found)
    throw new SiglipError(`attention: wanted heads of at most 660 features, found ${head}; use backend "cpu".`);
  return ATTENTION[found];
}
