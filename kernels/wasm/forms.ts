import { type ActivationForm, TOP } from "./activations.ts";
import type { Module } from "./assembler.ts";
import { type BlockKind, blockRows } from "./block.ts";
import { addHalves, addI14 } from "./encode.ts";
import {
  type AddExpand,
  addScales,
  bytesToFloats,
  bytesToShorts,
  halvesToFloats,
  nibblesToBytes,
  nibblesToFloats,
  nibblesToShorts,
} from "./expand.ts";
import { type LinearParts, linear, linearScratch, PANEL } from "./linear.ts";
import type { Instructions } from "./math.ts";
import type { AddEncode } from "./pack.ts";
import { GROUP, padded } from "./params.ts";
import { addQ4, addQ8 } from "./quantise.ts";

/** How weights lie in memory, and the bits of one, its share of the scales not counted. */
export const STORED = { f32: 32, f16: 16, i14: 16, q8: 8, q4: 4 } as const;
export type Stored = keyof typeof STORED;

/**
 * How x is multiplied: as floats; as integers of 14 bits a row, in two bytes (`i16`) or in two planes of 7 bits
 * (`i8x2`); or as integers of 7 or 8 bits with a scale for each group of 32 (`i8`).
 */
export type Arithmetic = "f32" | "i16" | "i8x2" | "i8";

/** What a linear map may run as. */
export type WeightForm = "f32-f32" | "f16-f32" | "i14-i16" | `q8-${Arithmetic}` | `q4-${Exclude<Arithmetic, "i8x2">}`;

/** For each the weights' storage, the arithmetic, and what makes stored weights those that are multiplied. */
export const FORMS: Readonly<Record<WeightForm, readonly [Stored, Arithmetic, AddExpand?]>> = {
  "f32-f32": ["f32", "f32"],
  "f16-f32": ["f16", "f32", halvesToFloats],
  "i14-i16": ["i14", "i16"],
  "q8-f32": ["q8", "f32", bytesToFloats],
  "q8-i16": ["q8", "i16", bytesToShorts],
  "q8-i8x2": ["q8", "i8x2"],
  "q8-i8": ["q8", "i8"],
  "q4-f32": ["q4", "f32", nibblesToFloats],
  "q4-i16": ["q4", "i16", nibblesToShorts],
  "q4-i8": ["q4", "i8", nibblesToBytes],
};

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

/** Bytes of scratch that a form needs at a depth. */
export function scratchBytes(form: WeightForm, depth: number): number {
  const [, arithmetic, expand] = FORMS[form];
  const expanded = expand ? { f32: 4, i16: 2, i8x2: 1, i8: 1 }[arithmetic] : 0;
  return linearScratch(padded(depth) / GROUP, PANEL * GROUP * expanded);
}

function blockOf(form: WeightForm): BlockKind {
  const [stored, arithmetic] = FORMS[form];
  return stored === "q4" && arithmetic === "i8" ? "nibbles" : arithmetic;
}

/** Rows of a form's blocks. */
export function formRows(form: WeightForm, instructions: Instructions): number {
  return blockRows(blockOf(form), instructions);
}

/** What x becomes before a form multiplies it; undefined where it stays. */
export function activationOf(form: WeightForm, { dot8 }: Instructions): ActivationForm | undefined {
  const [stored, arithmetic] = FORMS[form];
  if (arithmetic === "f32") return undefined;
  if (arithmetic !== "i8") return arithmetic;
  return stored === "q4" ? "i8-signed" : dot8 ? "i8-8" : "i8-7";
}

/** The parts of which a form's kernel is made. */
function partsOf(form: WeightForm, instructions: Instructions): LinearParts {
  const [stored, arithmetic, expand] = FORMS[form];
  const factor = stored === "i14" ? 1 / TOP : 1;
  const offset = { f32: 0, i16: 0, i8x2: 64, i8: stored === "q4" ? 0 : instructions.dot8 ? 128 : 64 }[arithmetic];
  return {
    kind: blockOf(form),
    expand,
    scale: arithmetic === "f32" ? undefined : addScales(factor, offset),
    rowScales: arithmetic === "i16" || arithmetic === "i8x2",
  };
}

export function linearModule(form: WeightForm, instructions: Instructions): Module {
  return linear(partsOf(form, instructions), instructions);
}

/** What makes rows of a storage from floats; undefined where floats are stored. */
export function encoderOf(stored: Stored): AddEncode | undefined {
  return { f32: undefined, f16: addHalves, i14: addI14, q8: addQ8, q4: addQ4 }[stored];
}

/** The forms that an engine of these instructions runs. */
export function formsOf({ dot }: Instructions): WeightForm[] {
  return (Object.keys(FORMS) as WeightForm[]).filter((form) => dot || !FORMS[form][1].startsWith("i8"));
}
