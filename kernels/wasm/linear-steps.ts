import { ACTIVATIONS } from "./activations.ts";
import { X_GROUP } from "./block.ts";
import { activationOf, FORMS, formRows, panelBytes, rowBytes, scratchBytes, type WeightForm } from "./forms.ts";
import type { Step } from "./index.ts";
import { LINEAR, PANEL } from "./linear.ts";
import type { Instructions } from "./math.ts";
import { GROUP, padded } from "./params.ts";

/** What is added to a linear map's result. */
export interface Addend {
  readonly address: number;
  /** Columns between its rows. */
  readonly stride: number;
  /** Its rows, which repeat: as many as the result has, or those of one item. */
  readonly rows: number;
}

/** A linear map on addresses: y [rows, out] = x [rows, depth] Wᵀ + bias, GELU if asked, plus an addend. */
export interface LinearCall {
  readonly x: number;
  readonly xStride: number;
  readonly rows: number;
  readonly depth: number;
  readonly out: number;
  /** Packed in the form that runs. */
  readonly weight: number;
  readonly bias: number;
  readonly y: number;
  readonly yStride: number;
  readonly gelu?: boolean;
  readonly add?: Addend;
  /** `temporaryBytes` that nobody else uses until the last step is done. */
  readonly temporary: number;
}

/** The most multiply-adds of a chunk, some milliseconds at the slowest form, and the fewest, some twenty microseconds. */
const MOST = 2 ** 26;
const LEAST = 2 ** 21;

/** As many chunks as keep 16 threads at work to the end of a step, if that does not make them too small. */
const CHUNKS = 128;

/** So many rows take the time in which a panel's weights are fetched. */
const FETCHED = 16;

/** The most rows of a chunk, more or less: as many as one panel of weights is worth fetching for. */
const CHUNK_ROWS = 768;

/** Rows that a chunk of rounding x takes. */
const ROUNDED_ROWS = 32;

/** Bytes of a row of x as a form multiplies it. */
function xBytes(form: WeightForm, depth: number): number {
  const arithmetic = FORMS[form][1];
  return arithmetic === "f32" ? 4 * padded(depth) : (padded(depth) / GROUP) * X_GROUP[arithmetic].bytes;
}

/** Bytes that a linear map keeps x in, rounded as its form wants it; 0 where floats are multiplied. */
export function temporaryBytes(form: WeightForm, rows: number, depth: number): number {
  return FORMS[form][1] === "f32" ? 0 : rows * (xBytes(form, depth) + 4);
}

/** The steps of a linear map, to run one after another. */
export function linearSteps(form: WeightForm, call: LinearCall, instructions: Instructions): Step[] {
  const { depth, rows, out } = call;
  const wide = padded(depth);
  const stored = FORMS[form][0];
  const block = formRows(form, instructions);
  const activation = activationOf(form, instructions);
  const bytes = xBytes(form, depth);
  const scales = call.temporary + rows * bytes;
  const panels = Math.ceil(out / PANEL);
  const yPanels = padded(out) / PANEL;
  // As many in each chunk: a panel is made ready for all of them alike.
  const share = rows / Math.ceil(rows / CHUNK_ROWS);
  const chunkRows = Math.min(rows, Math.ceil(share / block) * block);
  const panelWork = (chunkRows + FETCHED) * wide * PANEL;
  const wanted = Math.max(Math.floor(yPanels / CHUNKS), Math.ceil(LEAST / panelWork));
  const chunkPanels = Math.max(1, Math.min(wanted, Math.floor(MOST / panelWork), yPanels));
  const panelChunks = Math.ceil(yPanels / chunkPanels);
  const params = LINEAR.write({
    ...call,
    x: activation ? call.temporary : call.x,
    xStride: activation ? bytes : 4 * call.xStride,
    xBytes: bytes,
    groups: wide / GROUP,
    scales,
    panelBytes: panelBytes(stored, depth),
    codeBytes: PANEL * rowBytes(stored, depth).codes,
    yStride: 4 * call.yStride,
    gelu: Number(call.gelu ?? false),
    add: call.add?.address ?? 0,
    addStride: 4 * (call.add?.stride ?? 0),
    addRows: call.add?.rows ?? 1,
    panels,
    yPanels,
    chunkRows,
    chunkPanels,
    panelChunks,
  });
  const chunks = panelChunks * Math.ceil(rows / chunkRows);
  const multiply: Step = { kernel: `linear-${form}`, params, chunks, scratch: scratchBytes(form, depth) };
  if (!activation) return [multiply];
  const rounding = ACTIVATIONS.write({
    ...call,
    xStride: 4 * call.xStride,
    bytes: 4 * wide,
    to: call.temporary,
    toStride: bytes,
    scales,
    chunkRows: ROUNDED_ROWS,
  });
  const round: Step = {
    kernel: `activations-${activation}`,
    params: rounding,
    chunks: Math.ceil(rows / ROUNDED_ROWS),
    scratch: 0,
  };
  return [round, multiply];
}
