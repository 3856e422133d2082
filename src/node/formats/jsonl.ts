import { readParts, type Source } from "../../checkpoint/source.ts";
import { areFinite, decodeVector, encodeVector } from "../../search/encode-vector.ts";
import { readLines } from "../../search/lines.ts";
import type { StoredVector, VectorDType, VectorHeader, VectorKey, Vectors } from "../../search/vectors.ts";
import { originOf } from "../../search/vectors-file.ts";
import { mismatch } from "../../support/error.ts";
import { checkWritable, writeFileAtomic } from "../file.ts";
import type { OpenVectors } from "./formats.ts";
import { inOrder } from "./in-order.ts";
import { openFile } from "./open-file.ts";

export const check = checkWritable;

/** Characters that are written, bytes that are read, at a time. */
const PART = 2 ** 20;

/** Decimal digits that give every value back. */
const DIGITS = { f32: 9, f16: 5 } as const;

/** What stands before the values of a line as it is written. */
const VALUES = ',"embedding":[';

/**
 * A record a line: { kind, name, stamp?, scale?, embedding }. Those of a file together (dtype, unless f32, and origin)
 * stand in its first record; of a file without any they are, with the width, its one line.
 */
export async function write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  await writeFileAtomic(path, chunks(vectors, signal), signal);
}

async function* chunks(vectors: Vectors, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const { dtype, origin, width } = vectors.header;
  const encoder = new TextEncoder();
  let all: object = {
    ...(dtype === "f32" ? {} : { dtype }),
    ...(Object.keys(origin).length > 0 ? { origin } : {}),
  };
  let text = "";
  let empty = true;
  for await (const row of vectors.rows(signal)) {
    const { kind, name, stamp, scale } = row;
    const before = { kind, name, ...(stamp ? { stamp } : {}), ...(dtype === "i8" ? { scale: digits(scale, 9) } : {}) };
    text += `${JSON.stringify({ ...before, ...all }).slice(0, -1)}${VALUES}${valuesOf(row, dtype)}]}\n`;
    all = {};
    empty = false;
    if (text.length < PART) continue;
    yield encoder.encode(text);
    text = "";
  }
  if (empty) text = `${JSON.stringify({ width, ...all })}\n`;
  yield encoder.encode(text);
}

function digits(value: number, count: number): number {
  return Number(value.toPrecision(count));
}

function valuesOf({ bytes }: StoredVector, dtype: VectorDType): string {
  if (dtype === "i8") return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length).join();
  let text = "";
  for (const value of decodeVector({ bytes, scale: 1 }, dtype)) {
    // JSON.stringify and join would lose the sign of -0.
    text += `,${Object.is(value, -0) ? "-0.0" : digits(value, DIGITS[dtype])}`;
  }
  return text.slice(1);
}

/** The file is gone through once now, for how many there are of each kind. */
export function open(path: string, signal?: AbortSignal): Promise<OpenVectors> {
  return openFile(path, (source) => vectorsOf(source, signal));
}

async function vectorsOf(source: Source, signal?: AbortSignal): Promise<Omit<OpenVectors, "close">> {
  const counts = { image: 0, text: 0 };
  let header: Omit<VectorHeader, "counts"> | undefined;
  /** Whether no picture comes after a text, so that one way through the file is enough. */
  let sorted = true;
  for await (const { line, number } of lines(signal)) {
    if (number === 1) {
      const first = parse(line, number);
      header = headerOf(first);
      if (first.embedding === undefined) continue;
    }
    const { kind } = keyOf(line, number);
    sorted &&= kind === "text" || counts.text === 0;
    counts[kind]++;
  }
  const { width, dtype, origin } = header ?? fail(1, "a record", "an empty file");

  async function* records(signal?: AbortSignal) {
    for await (const { line, number } of lines(signal)) {
      if (number > 1 || parse(line, number).embedding !== undefined) yield { line, number, ...keyOf(line, number) };
    }
  }

  return {
    header: { width, dtype, counts, origin },
    async *keys(signal) {
      for await (const { kind, name, stamp } of inOrder(sorted, () => records(signal))) yield { kind, name, stamp };
    },
    async *rows(signal) {
      for await (const { line, number, ...key } of inOrder(sorted, () => records(signal))) {
        const { bytes, scale } = vectorOf(line, number);
        yield { bytes, scale, ...key };
      }
    },
  };

  function fail(number: number, wanted: string, found: string): never {
    throw mismatch("bad-input", source.name, `${wanted} in line ${number}`, found, "write the file again");
  }

  async function* lines(signal?: AbortSignal): AsyncGenerator<{ line: string; number: number }> {
    let number = 0;
    const parts = readParts(source, { begin: 0, end: source.size }, PART, signal);
    for await (const line of readLines(parts, source.name)) yield { line, number: ++number };
  }

  function parse(line: string, number: number): Record<string, unknown> {
    try {
      const value: unknown = JSON.parse(line);
      if (value && typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
    } catch {}
    return fail(number, "a JSON object", "something else");
  }

  function headerOf(first: Record<string, unknown>): Omit<VectorHeader, "counts"> {
    const { dtype = "f32", embedding, origin } = first;
    const width = Array.isArray(embedding) ? embedding.length : first.width;
    if (dtype !== "f32" && dtype !== "f16" && dtype !== "i8") return fail(1, "a dtype of f32, f16 or i8", "another");
    if (!(typeof width === "number" && Number.isInteger(width) && width >= 1 && width <= 2 ** 24)) {
      return fail(1, "an embedding, or the width of none", "neither");
    }
    return { width, dtype, origin: originOf(origin, source.name) };
  }

  /** Without looking at the values, where the line is as it is written here. */
  function keyOf(line: string, number: number): VectorKey {
    // Within a string its first quotation mark would follow a backslash.
    const values = line.indexOf(VALUES);
    const { kind, name, stamp = "" } = parse(values < 0 ? line : `${line.slice(0, values)}}`, number);
    if (kind !== "image" && kind !== "text") return fail(number, 'the kind "image" or "text"', "another");
    if (typeof name !== "string" || typeof stamp !== "string") return fail(number, "a name", "none");
    return { kind, name, stamp };
  }

  function vectorOf(line: string, number: number): { bytes: Uint8Array; scale: number } {
    const { embedding, scale = 1 } = parse(line, number);
    const good =
      Array.isArray(embedding) &&
      embedding.length === width &&
      embedding.every((value) => typeof value === "number") &&
      typeof scale === "number";
    if (!good) return fail(number, `an embedding of ${width} numbers`, "another");
    if (dtype === "i8") {
      const integers = Int8Array.from(embedding);
      const vector = { bytes: new Uint8Array(integers.buffer), scale: Math.fround(scale) };
      if (embedding.some((value, i) => value !== integers[i]) || !areFinite(vector, dtype)) {
        return fail(number, "integers of 8 bits and a scale", "others");
      }
      return vector;
    }
    const values = Float32Array.from(embedding);
    if (!values.every((value) => Number.isFinite(value) && (dtype === "f32" || Math.abs(value) <= 65504))) {
      return fail(number, `finite values of ${dtype}`, "others");
    }
    return encodeVector(values, dtype);
  }
}
