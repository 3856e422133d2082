import { concatenate, toFloat32 } from "../../support/numbers.ts";
import type { RowChunk } from "../packing.ts";

/** Rows of a matrix that kernels keep together. */
export const PANEL = 8;

/**
 * Chunks as they come, cut anew so that all but the last hold whole panels of 8 rows. `width` is that of a row. Like those
 * that come, each lasts until the next is asked for.
 */
export async function* inPanels(chunks: AsyncIterable<RowChunk>, width: number): AsyncGenerator<RowChunk> {
  let rest: RowChunk | undefined;
  for await (const chunk of chunks) {
    let first = 0;
    if (rest) {
      first = Math.min(PANEL - rest.rows, chunk.rows);
      rest = await joined(rest, part(chunk, 0, first), width);
      if (rest.rows < PANEL) continue;
      yield rest;
    }
    const whole = chunk.rows - ((chunk.rows - first) % PANEL);
    if (whole > first) yield part(chunk, first, whole);
    rest = whole < chunk.rows ? part(chunk, whole, chunk.rows, "slice") : undefined;
  }
  if (rest) yield rest;
}

/** Some rows of a chunk: a view, or a copy. */
function part(chunk: RowChunk, from: number, to: number, how: "subarray" | "slice" = "subarray"): RowChunk {
  const cut = (bytes: Uint8Array) => {
    const each = bytes.length / chunk.rows;
    return bytes[how](from * each, to * each);
  };
  const { bytes, scales } = chunk;
  return { ...chunk, rows: to - from, bytes: cut(bytes), ...(scales && { scales: cut(scales) }) } as RowChunk;
}

/** Two chunks as one: as they are stored where that is alike, else as floats. */
async function joined(a: RowChunk, b: RowChunk, width: number): Promise<RowChunk> {
  const rows = a.rows + b.rows;
  if (a.dtype !== b.dtype) {
    return { dtype: "F32", rows, bytes: concatenate([await floats(a, width), await floats(b, width)]) };
  }
  const scales = a.scales && b.scales && { scales: concatenate([a.scales, b.scales]) };
  return { ...a, rows, bytes: concatenate([a.bytes, b.bytes]), ...scales } as RowChunk;
}

async function floats(chunk: RowChunk, width: number): Promise<Uint8Array> {
  const values = chunk.scales
    ? (await import("../quantise.ts")).unpackRows(chunk, width)
    : toFloat32(chunk.bytes, chunk.dtype);
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
