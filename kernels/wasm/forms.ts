import type { Module } from "./assembler.ts";
import { addBlock, blockOf } from "./block.ts";
import { type LinearParts, linear, PANEL } from "./linear.ts";
import type { Instructions } from "./math.ts";
import type { AddEncode } from "./pack.ts";
import { GROUP, padded } from "./params.ts";

/** How weights lie in memory, and the bits of one, its share of the scales not counted. */
export const STORED = { f32: 32, f16: 16, i14: 16, q8: 8, q4: 4 } as const;
export type Stored = keyof typeof STORED;

/**
 * How x is multiplied: as floats; as integers of 14 bits a row, in two bytes (`i16`) or in two planes of 7 bits (`i8x2`); or as
 * integers of 7 or 8 bits with a scale for each group of 32 (`i8`).
 */
export type Arithmetic = "f32" | "i16" | "i8x2" | "i8";

/** What a linear map may run as: the weights' storage, then the arithmetic. */
export const FORMS = {
  "f32-f32": ["f32", "f32"],
} as const satisfies Readonly<Record<string, readonly [Stored, Arithmetic]>>;
export type WeightForm = keyof typeof FORMS;

/** Bytes of one padded row: its codes, and its scales of half precision. */
export function rowBytes(stored: Stored, depth: number): { codes: number; scales: number } {
  const wide = padded(depth);
  return {
    codes: (wide * STORED[stored]) / 8,
    scales: STORED[stored] === 32 || stored === "f16" ? 0 : (wide / GROUP) * 2,
  };
}

/** Bytes of a panel: eight rows of the matrix, four bytes of one after four of another, then their scales likewise. */
export function panelBytes(stored: Stored, depth: number): number {
  const { codes, scales } = rowBytes(stored, depth);
  return PANEL * (codes + scales);
}

/** Bytes of a packed matrix [out, in]. It begins at a multiple of 64. */
export function weightBytes(form: WeightForm, out: number, depth: number): number {
  return Math.ceil(out / PANEL) * panelBytes(FORMS[form][0], depth);
}

/** The parts of which a form's kernel is made. */
export function partsOf(form: WeightForm, { madd }: Instructions): LinearParts {
  const block = blockOf(madd);
  switch (form) {
    default:
      return { rows: block.rows, multiply: (m) => addBlock(m, block, madd), rowScales: false };
  }
}

export function linearModule(form: WeightForm, instructions: Instructions): Module {
  return linear(partsOf(form, instructions), instructions);
}

/** What makes rows of a storage from floats; undefined where floats are stored. */
export function encoderOf(_stored: Stored): AddEncode | undefined {
  return undefined;
}
