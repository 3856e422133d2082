import { SiglipError } from "../../error.ts";
import type { Constants } from "./specialise.ts";

/** A way to compute `linear`: a kernel, its constants, and how many rows and columns of y a workgroup makes. */
export interface LinearVariant {
  readonly kernel: "linear" | "linear_direct";
  readonly constants: Constants;
  readonly rows: number;
  readonly columns: number;
}

function tiled(BM: number, BN: number, BK: number, TM: number, TN: number): LinearVariant {
  return { kernel: "linear", constants: { BM, BN, BK, TM, TN }, rows: BM, columns: BN };
}

/** All forms of `linear`, by the name under which one can be pinned. */
export const LINEAR = {
  "tile-128x64": tiled(128, 64, 16, 8, 4),
  "tile-64x64": tiled(64, 64, 16, 4, 4),
  "tile-32x64": tiled(32, 64, 32, 4, 4),
  direct: { kernel: "linear_direct", constants: { THREADS_M: 4, THREADS_N: 8 }, rows: 16, columns: 32 },
} as const satisfies Record<string, LinearVariant>;

export type LinearName = keyof typeof LINEAR;

/** Rows by which choices are told apart: the MAP head, a text, a picture, a batch. */
const CLASSES = [16, 128, 2048];

/** The most rows of the class that `rows` falls into; Infinity for a batch. */
export function rowClass(rows: number): number {
  return CLASSES.find((most) => rows <= most) ?? Number.POSITIVE_INFINITY;
}

/** The forms worth a trial for so many rows, the plain one first. */
export function linearForms(rows: number): readonly LinearName[] {
  if (rows <= 16) return ["direct", "tile-32x64"];
  return ["direct", "tile-32x64", "tile-64x64", ...(rows > 64 ? (["tile-128x64"] as const) : [])];
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

/** The forms worth a trial for heads of `head` features, the plainest first. */
export function attentionForms(head: number, queries: number): readonly AttentionName[] {
  const names: readonly AttentionName[] = queries === 1 ? ["1x32", "1x4"] : ["16x8", "16x16", "32x16"];
  const fitting = names.filter((name) => fits(ATTENTION[name], head));
  if (fitting.length > 0) return queries === 1 ? fitting.slice(0, 1) : fitting;
  const small = (["8x4", "2x4"] as const).find((name) => fits(ATTENTION[name], head));
  if (small) return [small];
  throw new SiglipError(`attention: wanted heads of at most 660 features, found ${head}; use backend "cpu".`);
}
