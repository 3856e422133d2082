import { concatenate, toFloat32 } from "../../support/numbers.ts";
import type { PackedChunk, RowChunk } from "../packing.ts";

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
    rest = whole < chunk.rows ? copied(part(chunk, whole, chunk.rows)) : undefined;
  }
  if (rest) yield rest;
}

function part(chunk: RowChunk, from: number, to: number): RowChunk {
  if (from === 0 && to === chunk.rows) return chunk;
  const cut = (bytes: Uint8Array) => {
    const each = bytes.length / chunk.rows;
    return bytes.subarray(from * each, to * each);
  };
  if (chunk.scales === undefined) return { ...chunk, rows: to - from, bytes: cut(chunk.bytes) };
  return { ...chunk, rows: to - from, bytes: cut(chunk.bytes), scales: cut(chunk.scales) };
}

function copied(chunk: RowChunk): RowChunk {
  if (chunk.scales === undefined) return { ...chunk, bytes: chunk.bytes.slice() };
  return { ...chunk, bytes: chunk.bytes.slice(), scales: chunk.scales.slice() };
}

/** Two chunks as one: as they are stored where that is alike, else as floats. */
async function joined(a: RowChunk, b: RowChunk, width: number): Promise<RowChunk> {
  const rows = a.rows + b.rows;
  if (a.dtype !== b.dtype) {
    return { dtype: "F32", rows, bytes: concatenate([await floats(a, width), await floats(b, width)]) };
  }
  const bytes = concatenate([a.bytes, b.bytes]);
  if (a.scales === undefined || b.scales === undefined) return { dtype: a.dtype, rows, bytes } as RowChunk;
  return { dtype: a.dtype, rows, bytes, scales: concatenate([a.scales, b.scales]) } as PackedChunk;
}

async function floats(chunk: RowChunk, width: number): Promise<Uint8Array> {
  const values = chunk.scales
    ? (await import("../quantise.ts")).unpackRows(chunk, width)
    : toFloat32(chunk.bytes, chunk.dtype);
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
