import { FORMS, panelBytes, rowBytes, type Stored, type WeightForm } from "./forms.ts";
import type { Step } from "./index.ts";
import { PANEL } from "./linear.ts";
import { PACK, packScratch } from "./pack.ts";
import { PACK_ROWS } from "./pack-rows.ts";
import { padded } from "./params.ts";
import { PAIRS } from "./quantise.ts";
import { KINDS } from "./widen.ts";

/** Rows of a matrix in memory, one after another, at any address. */
export interface Source {
  readonly address: number;
  /**
   * Floats as a checkpoint stores them, without padding; or codes made before, padded rows, which only a form that
   * stores the same takes: Q8 bytes, Q4 nibbles, and `scales`.
   */
  readonly dtype: "F32" | "F16" | "BF16" | "Q8" | "Q4";
  /** Address of the half-precision scales of Q8 and Q4. */
  readonly scales?: number;
  readonly rows: number;
  readonly depth: number;
  /** Address of an i32 that becomes 1 where a weight is not finite; 0 before. */
  readonly flag: number;
}

/** Rows of floats. */
export interface FloatSource extends Source {
  readonly dtype: "F32" | "F16" | "BF16";
}

/** Weights of a chunk: those of a checkpoint's 4 MiB make enough chunks for many threads to end at one time. */
const CHUNK = 2 ** 16;

/** Floats of the source's rows. */
const WIDTH = { F32: 4, F16: 2, BF16: 2 } as const;

/**
 * Packs rows from `first` on, which begins a panel (a multiple of 8), into the packed matrix at `weight`. A source
 * that is no whole number of panels ends the matrix: what its last panel lacks is filled with zeros.
 */
export function packStep(form: WeightForm, source: Source, first: number, weight: number): Step {
  const stored = FORMS[form][0];
  const { rows, depth, dtype } = source;
  const { codes, scales } = rowBytes(stored, depth);
  const floats = dtype !== "Q8" && dtype !== "Q4";
  const panels = Math.ceil(rows / PANEL);
  const chunkPanels = Math.max(1, Math.floor(CHUNK / (PANEL * padded(depth))));
  const params = PACK.write({
    ...source,
    source: source.address,
    sourceScales: source.scales ?? 0,
    kind: floats ? KINDS.indexOf(dtype) : KINDS.length,
    sourceStride: floats ? WIDTH[dtype] * depth : codes,
    padded: padded(depth),
    to: weight + (first / PANEL) * panelBytes(stored, depth),
    codeBytes: codes,
    scaleBytes: scales,
    panelBytes: panelBytes(stored, depth),
    panels,
    chunkPanels,
  });
  const scratch = packScratch(padded(depth), codes, scales);
  return { kernel: `pack-${stored}`, params, chunks: Math.ceil(panels / chunkPanels), scratch };
}

/** Rounds rows of floats to padded rows of codes, and their scales, in the layout of packed chunks. */
export function packRowsStep(stored: Stored, source: FloatSource, codesAt: number, scalesAt: number): Step {
  const { rows, depth, dtype } = source;
  const { codes, scales } = rowBytes(stored, depth);
  const chunkRows = Math.max(1, Math.floor(CHUNK / padded(depth)));
  const params = PACK_ROWS.write({
    ...source,
    source: source.address,
    kind: KINDS.indexOf(dtype),
    sourceStride: WIDTH[dtype] * depth,
    padded: padded(depth),
    to: codesAt,
    toScales: scalesAt,
    codeBytes: codes,
    scaleBytes: scales,
    chunkRows,
  });
  return { kernel: `rows-${stored}`, params, chunks: Math.ceil(rows / chunkRows), scratch: 4 * padded(depth) + PAIRS };
}
