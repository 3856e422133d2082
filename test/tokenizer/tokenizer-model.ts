import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** A fixture row: SentencePiece's ids of the text as it is, and of its canonical form. */
export interface Row {
  text: string;
  raw_ids: number[];
  canonical: string;
  canonical_ids: number[];
}

const own = here("../fixtures/tokenizer");
const borrowed = join(process.env.SIGLIP_BORROWED ?? here("../../../shared/fixtures"), "tokenizer", "borrowed");

/** The models with fixture rows; `folder` is undefined where a borrowed one is absent. */
export const FIXTURES = [
  ...["t5-like", "gemma-like"].map((name) => ({ name, folder: own })),
  ...["albert-unigram", "small-bpe", "small-bytefallback", "small-unigram"].map((name) => ({
    name,
    folder: existsSync(join(borrowed, `${name}.model`)) ? borrowed : undefined,
  })),
];

export const ABSENT = "the folder of borrowed fixtures is absent (SIGLIP_BORROWED)";

export function readModel(name: string, folder = own): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, `${name}.model`)));
}

export function readRows<T = Row>(name: string, folder = own): T[] {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
}

/** A model to be written; the flags have SentencePiece's defaults. */
export interface ModelSpec {
  algorithm?: "unigram" | "bpe";
  /** Text, score and type (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte). */
  pieces: readonly (readonly [string, number, number])[];
  byteFallback?: boolean;
  treatWhitespaceAsSuffix?: boolean;
  addDummyPrefix?: boolean;
  removeExtraWhitespaces?: boolean;
  escapeWhitespaces?: boolean;
  charsmap?: Uint8Array;
}

/** The bytes of a `.model` file. */
export function writeModel(spec: ModelSpec): Uint8Array {
  const parts: number[][] = spec.pieces.map(([text, score, type]) =>
    field(1, [...field(1, [...Buffer.from(text)]), 0x15, ...new Uint8Array(Float32Array.of(score).buffer), 0x18, type]),
  );
  const trainer = [
    ...flag(3, spec.algorithm === "bpe" ? 2 : 1),
    ...flag(24, spec.treatWhitespaceAsSuffix ?? false),
    ...flag(35, spec.byteFallback ?? false),
  ];
  const normalizer = [
    ...(spec.charsmap ? field(2, [...spec.charsmap]) : []),
    ...flag(3, spec.addDummyPrefix ?? true),
    ...flag(4, spec.removeExtraWhitespaces ?? true),
    ...flag(5, spec.escapeWhitespaces ?? true),
  ];
  return Uint8Array.from([...parts, field(2, trainer), field(3, normalizer)].flat());
}

function field(number: number, content: number[]): number[] {
  return [...varint(8 * number + 2), ...varint(content.length), ...content];
}

function flag(number: number, value: boolean | number): number[] {
  return [...varint(8 * number), Number(value)];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}
