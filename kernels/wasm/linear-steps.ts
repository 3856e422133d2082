import { FORMS, panelBytes, partsOf, type WeightForm } from "./forms.ts";
import type { Step } from "./index.ts";
import { EXPANDED, LINEAR, PANEL } from "./linear.ts";
import type { Instructions } from "./math.ts";
import { padded } from "./params.ts";

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

/** Multiply-adds of a chunk: some milliseconds at the slowest form, and less where there would be too few chunks. */
const CHUNK = 2 ** 26;
const CHUNKS = 32;

/** Rows of a chunk: as many as one panel of weights is worth fetching for. */
const CHUNK_ROWS = 720;

/** Bytes between the steps of one linear map. */
export function temporaryBytes(_form: WeightForm, _rows: number, _depth: number): number {
  return 0;
}

/** Bytes of scratch of a form at a depth. */
export function linearScratch(form: WeightForm, depth: number): number {
  return EXPANDED + (form === "f32-f32" ? 0 : PANEL * padded(depth) * 4);
}

/** The steps of a linear map, to run one after another. */
export function linearSteps(form: WeightForm, call: LinearCall, instructions: Instructions): Step[] {
  const { depth, rows, out } = call;
  const wide = padded(depth);
  const block = partsOf(form, instructions).rows;
  const panels = Math.ceil(out / PANEL);
  const yPanels = padded(out) / PANEL;
  const chunkRows = Math.min(rows, Math.ceil(CHUNK_ROWS / block) * block);
  const chunkPanels = Math.max(
    1,
    Math.min(Math.floor(yPanels / CHUNKS), Math.floor(CHUNK / (chunkRows * wide * PANEL)), PANEL),
  );
  const panelChunks = Math.ceil(yPanels / chunkPanels);
  const params = LINEAR.write({
    x: call.x,
    xStride: 4 * call.xStride,
    rows,
    span: 4 * wide,
    scales: 0,
    weight: call.weight,
    panelBytes: panelBytes(FORMS[form][0], depth),
    bias: call.bias,
    y: call.y,
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
  return [{ kernel: `linear-${form}`, params, chunks, scratch: linearScratch(form, depth) }];
}
