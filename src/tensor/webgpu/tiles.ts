import { mismatch } from "../../support/error.ts";
import type { Constants } from "./specialise.ts";

/** A matrix unit: M x K times K x N in halves, summed in f32, by all threads of a subgroup of one size. */
export interface MatrixUnit {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly subgroup: number;
}

/** What a device offers beyond core WebGPU. */
export interface Capabilities {
  /** Activations are halves, so operands may be too. */
  readonly half: boolean;
  /** Of a workgroup, in bytes. */
  readonly memory: number;
  /** Takes halves and sums in f32. */
  readonly unit?: MatrixUnit;
}

/** A form of `linear`: a kernel, its constants, and how many rows and columns of y a workgroup makes. */
export interface LinearForm {
  readonly kernel: "linear" | "linear_direct" | "linear_split" | "linear_matrix";
  readonly constants: Constants;
  readonly rows: number;
  readonly columns: number;
  /** The most rows of y for which it is worth a trial. */
  readonly most?: number;
  /** Workgroup memory in bytes, where it is above the least that every device has. */
  readonly memory?: number;
  /** Multiplies halves, which float32 activations are not worth. */
  readonly half?: boolean;
}

function tiled(BM: number, BN: number, BK: number, TM: number, TN: number): LinearForm {
  return { kernel: "linear", constants: { BM, BN, BK, TM, TN }, rows: BM, columns: BN };
}

/** The same in halves, of which four products are added up before they go to f32 sums. */
function halved(BM: number, BN: number, BK: number, TM: number, TN: number): LinearForm {
  const { constants, ...form } = tiled(BM, BN, BK, TM, TN);
  return { ...form, constants: { ...constants, operand: "f16", PARTS: true }, half: true };
}

/** A tile shared by so many subgroups along rows and columns, whatever the shape of the device's matrix unit. */
function matrix(rows: number, columns: number, across: [m: number, n: number], buffers = 1): LinearForm {
  const [SUBGROUPS_M, SUBGROUPS_N] = across;
  return {
    kernel: "linear_matrix",
    constants: { BM: rows, BN: columns, BK: 32, BUFFERS: buffers, SUBGROUPS_M, SUBGROUPS_N },
    rows,
    columns,
    memory: 16 * Math.max(buffers * (rows + columns) * 5, SUBGROUPS_M * 16 * (columns / 4 + 2)),
    half: true,
  };
}

/** The name under which a form of `linear` can be pinned. */
export type LinearName =
  | "direct"
  | "split"
  | "tile-32x64"
  | "tile-64x64"
  | "tile-128x128"
  | "half-64x64"
  | "half-128x128"
  | "matrix-32x64"
  | "matrix-64x64"
  | "matrix-128x64"
  | "matrix-128x128"
  | "matrix-128x128-4"
  | "matrix-128x128-double"
  | "matrix-256x128";

/** All forms of `linear`. */
export const LINEAR: Readonly<Record<LinearName, LinearForm>> = {
  direct: { kernel: "linear_direct", constants: { THREADS_M: 4, THREADS_N: 8 }, rows: 16, columns: 32 },
  split: { kernel: "linear_split", constants: { SPLIT: 32, THREADS_N: 2, ROWS: 4 }, rows: 4, columns: 8, most: 128 },
  "tile-32x64": tiled(32, 64, 32, 4, 4),
  "tile-64x64": tiled(64, 64, 16, 8, 4),
  "tile-128x128": tiled(128, 128, 16, 8, 8),
  "half-64x64": halved(64, 64, 16, 8, 4),
  "half-128x128": halved(128, 128, 16, 8, 8),
  "matrix-32x64": matrix(32, 64, [2, 2]),
  "matrix-64x64": matrix(64, 64, [2, 2]),
  "matrix-128x64": matrix(128, 64, [2, 2]),
  "matrix-128x128": matrix(128, 128, [2, 4]),
  "matrix-128x128-4": matrix(128, 128, [2, 2]),
  "matrix-128x128-double": matrix(128, 128, [2, 4], 2),
  "matrix-256x128": matrix(256, 128, [4, 2]),
};

/** Rows by which choices are told apart: the MAP head, a text, a picture, a few, a batch. */
const CLASSES = [16, 128, 1024, 8192];

/** The most rows of the class that `rows` falls into; Infinity for a batch. */
export function rowClass(rows: number): number {
  return CLASSES.find((most) => rows <= most) ?? Number.POSITIVE_INFINITY;
}

/**
 * The forms worth a trial for so many rows, the plain one first. Each costs compiling, so that matrix units leave but one of
 * the portable tiles, in case none of theirs compiles or is right.
 */
export function linearForms(rows: number, device: Capabilities): readonly LinearName[] {
  const units = runs(LINEAR["matrix-64x64"], device);
  return (Object.keys(LINEAR) as LinearName[]).filter((name) => {
    const form: LinearForm = LINEAR[name];
    if (units && form.kernel === "linear" && name !== "tile-64x64") return false;
    // A tile of which most rows would stand empty cannot win.
    return runs(form, device) && rows <= (form.most ?? rows) && (form.rows <= 32 || form.rows < 2 * rows);
  });
}

/** What is put into a kernel's text for a form on a device: the form's own constants, and the matrix unit's. */
export function constantsOf(form: LinearForm | AttentionForm, { unit }: Capabilities): Constants {
  if (!form.kernel.endsWith("_matrix") || !unit) return form.constants;
  return { ...form.constants, MM: unit.M, MN: unit.N, MK: unit.K, SUBGROUP: unit.subgroup };
}

/** How many queries a workgroup takes. */
export function queriesOf(form: AttentionForm, { unit }: Capabilities): number {
  return form.queries * (form.kernel === "attention_matrix" && unit ? unit.subgroup : 1);
}

/** Whether a device can run a form, and it would make sense there. */
export function runs(form: LinearForm | AttentionForm, device: Capabilities): boolean {
  const { memory = WORKGROUP_MEMORY, half = false } = form;
  if (memory > device.memory || (half && !device.half)) return false;
  return !form.kernel.endsWith("_matrix") || device.unit !== undefined;
}

/** A form of `attention`: a kernel, its constants, and how many queries a workgroup takes. */
export interface AttentionForm {
  readonly kernel: "attention" | "attention_matrix";
  readonly constants: Constants;
  /** Queries of a workgroup; on matrix units its subgroups, of which each takes as many as it has threads. */
  readonly queries: number;
  readonly memory?: number;
  readonly half?: boolean;
}

/** Queries of a workgroup, keys of a step, threads that share four queries. */
function flash(QUERIES: number, KEYS: number, LANES: number): AttentionForm {
  return { kernel: "attention", constants: { QUERIES, KEYS, LANES }, queries: QUERIES };
}

/** Enough workgroup memory for heads of 96 features and subgroups of 32 threads, and 16 bytes for a flag. */
function matrixAttention(SUBGROUPS: number): AttentionForm {
  const memory = 16 * Math.max(32 * SUBGROUPS * 13, 32 * SUBGROUPS * 9 + 32 * 13) + 16;
  return { kernel: "attention_matrix", constants: { KEYS: 32, SUBGROUPS }, queries: SUBGROUPS, memory, half: true };
}

/** The name under which a form of `attention` can be pinned. */
export type AttentionName = "16x16" | "32x32" | "64x12" | "64x24" | "8x4" | "4x2" | "4x32" | "matrix-2" | "matrix-4";

/** All forms of `attention`. */
export const ATTENTION: Readonly<Record<AttentionName, AttentionForm>> = {
  "16x16": flash(16, 16, 8),
  "32x32": flash(32, 32, 8),
  "64x12": flash(64, 12, 6),
  "64x24": flash(64, 24, 6),
  // For heads of many features.
  "8x4": flash(8, 4, 8),
  "4x2": flash(4, 2, 32),
  // For the single query of the MAP head.
  "4x32": flash(4, 32, 32),
  "matrix-2": matrixAttention(2),
  "matrix-4": matrixAttention(4),
};

/** The least workgroup memory that every WebGPU device has, in bytes. */
export const WORKGROUP_MEMORY = 16384;

/** Whether a form can serve heads of `head` features with so much workgroup memory. */
export function fits(form: AttentionForm, head: number, memory = WORKGROUP_MEMORY): boolean {
  if (form.kernel === "attention_matrix") return head % 8 === 0 && head <= 96;
  const { QUERIES, KEYS, LANES } = form.constants as { QUERIES: number; KEYS: number; LANES: number };
  return 16 * ((QUERIES + KEYS) * (Math.ceil(head / 4) | 1) + ((KEYS + LANES) * QUERIES) / 4) <= memory;
}

const MATRIX: readonly AttentionName[] = ["32x32", "matrix-2", "matrix-4"];
const BLOCKS: readonly AttentionName[] = ["32x32", "64x12", "64x24"];

/** The forms worth a trial for heads of `head` features, the plainest first. */
export function attentionForms(head: number, queries: number, device: Capabilities): readonly AttentionName[] {
  const some = (...names: AttentionName[]) =>
    names.filter((name) => fits(ATTENTION[name], head, device.memory) && runs(ATTENTION[name], device));
  const single = some("4x32", "4x2").slice(0, 1);
  const many = some("16x16", ...(some("matrix-2").length > 0 ? MATRIX : BLOCKS));
  const small = some("8x4", "4x2").slice(0, 1);
  const found = [queries === 1 ? single : [], many, small].find((names) => names.length > 0);
  if (found) return found;
  throw mismatch("unsupported", "attention", "heads of at most 660 features", String(head), `use backend "wasm"`);
}
