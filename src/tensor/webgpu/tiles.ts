import { SiglipError } from "../../error.ts";

/** Constants of kernels/linear.wgsl: rows, columns and K panel of a workgroup's tile, rows and columns of a thread's. */
export type LinearTile = { BM: number; BN: number; BK: number; TM: number; TN: number };

const LARGE: LinearTile = { BM: 64, BN: 64, BK: 16, TM: 4, TN: 4 };
const SMALL: LinearTile = { BM: 16, BN: 32, BK: 32, TM: 4, TN: 4 };

/** Workgroups below which a device has idle cores, so that smaller tiles are faster. */
const ENOUGH_GROUPS = 64;

/** The tile for y [rows, columns]. */
export function linearTile(rows: number, columns: number): LinearTile {
  const groups = Math.ceil(rows / LARGE.BM) * Math.ceil(columns / LARGE.BN);
  return rows <= SMALL.BM || groups < ENOUGH_GROUPS ? SMALL : LARGE;
}

/** Constants of kernels/attention.wgsl: queries of a workgroup, keys of a step, threads that share a query. */
export type AttentionTile = { QUERIES: number; KEYS: number; LANES: number };

/** Preferred first; the first that fits is taken. The last serves a single query, the probe of the MAP head. */
const ATTENTION: readonly AttentionTile[] = [
  { QUERIES: 32, KEYS: 16, LANES: 4 },
  { QUERIES: 16, KEYS: 16, LANES: 4 },
  { QUERIES: 16, KEYS: 8, LANES: 8 },
  { QUERIES: 8, KEYS: 4, LANES: 8 },
  { QUERIES: 2, KEYS: 4, LANES: 32 },
];
const SINGLE: readonly AttentionTile[] = [
  { QUERIES: 1, KEYS: 32, LANES: 32 },
  { QUERIES: 1, KEYS: 4, LANES: 32 },
];

/** The least that every WebGPU device has, in bytes. */
const WORKGROUP_MEMORY = 16384;

/** The largest tile for heads of `head` features that fits the least workgroup memory. */
export function attentionTile(head: number, queries: number): AttentionTile {
  const width = Math.ceil(head / 4) * 4;
  const tile = (queries === 1 ? SINGLE : ATTENTION).find(
    ({ QUERIES, KEYS }) => 4 * ((QUERIES + KEYS) * width + QUERIES * KEYS) <= WORKGROUP_MEMORY,
  );
  if (!tile)
    throw new SiglipError(`attention: wanted heads of at most 660 features, found ${head}; use the cpu backend.`);
  return tile;
}
