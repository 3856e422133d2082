import { MOST_SCALE } from "../../search/encode-vector.ts";
import type { Kind, VectorHeader, Vectors } from "../../search/vectors.ts";
import { originOf } from "../../search/vectors-file.ts";
import { mismatch, type SiglipError } from "../../support/error.ts";
import { readFile, writeFileAtomic } from "../file.ts";

/** What stands beside an .npy file. */
export interface Beside {
  readonly kind: Kind;
  readonly origin: VectorHeader["origin"];
  /** Of every row, as the following. */
  readonly names?: readonly string[];
  readonly stamps?: readonly string[];
  readonly scales?: Float32Array;
  /** Of the rows' bytes. */
  readonly sha256?: string;
}

/** The file is held in memory when it is read; this is much less than the longest string. */
const MOST = 2 ** 28;

/** Characters that are written at a time. */
const PART = 2 ** 16;

/** Writes { kind, origin, sha256, names, stamps, scales }, a row a line. Rejects for more than 256 MiB. */
export async function writeBeside(
  path: string,
  vectors: Vectors,
  { kind, scales, sha256 }: { kind: Kind; scales: Float32Array; sha256: string },
  signal?: AbortSignal,
): Promise<void> {
  async function* words(): AsyncGenerator<string> {
    const { origin, dtype } = vectors.header;
    yield `{"kind":${JSON.stringify(kind)},"origin":${JSON.stringify(origin)},"sha256":"${sha256}",\n`;
    for (const part of ["name", "stamp"] as const) {
      let before = `"${part}s":[\n`;
      for await (const key of vectors.keys(signal)) {
        yield before + JSON.stringify(key[part]);
        before = ",\n";
      }
      yield before.startsWith(",") ? "],\n" : `"${part}s":[],\n`;
    }
    // Nine significant digits are enough to give every float32 back.
    const digits = Array.from(scales, (scale) => Number(scale.toPrecision(9)));
    yield `"scales":${dtype === "i8" ? JSON.stringify(digits) : "null"}}\n`;
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const encoder = new TextEncoder();
    let text = "";
    let length = 0;
    for await (const word of words()) {
      text += word;
      if (text.length < PART) continue;
      const bytes = encoder.encode(text);
      length += bytes.length;
      if (length > MOST) {
        const advice = "write .safetensors, which has room for any number";
        throw mismatch("bad-input", path, `names of at most ${MOST} bytes`, "more", advice);
      }
      yield bytes;
      text = "";
    }
    yield encoder.encode(text);
  }
  await writeFileAtomic(path, chunks(), signal);
}

/** What stands beside `count` rows; a list is one of names of pictures. Without the file there are no names. */
export async function readBeside(path: string, count: number, scaled: boolean, signal?: AbortSignal): Promise<Beside> {
  const fail = (wanted: string, found: string): SiglipError =>
    mismatch("bad-input", path, wanted, found, "write both files again");
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readFile(path, MOST, signal);
  } catch (error) {
    if ((error as SiglipError).code !== "not-found") throw error;
    if (scaled) throw fail("the scales of integers of 8 bits", "no such file");
    return { kind: "image", origin: {} };
  }
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw fail("JSON", "something else");
  }
  if (Array.isArray(found)) found = { names: found };
  const { kind = "image", names, stamps, scales, sha256, origin } = (found ?? {}) as Record<string, unknown>;
  if (kind !== "image" && kind !== "text") throw fail('the kind "image" or "text"', "another");
  if (sha256 !== undefined && typeof sha256 !== "string") throw fail("a digest as sha256", "something else");
  const good = Array.isArray(scales) && scales.length === count && scales.every(isScale);
  if (scaled && !good) throw fail(`${count} scales from 0`, "something else");
  return {
    kind,
    origin: originOf(origin, path),
    names: wordsOf(names),
    stamps: wordsOf(stamps),
    scales: scaled ? Float32Array.from(scales as number[]) : undefined,
    sha256,
  };

  function wordsOf(list: unknown): readonly string[] | undefined {
    if (list === undefined) return undefined;
    if (Array.isArray(list) && list.length === count && list.every((one) => typeof one === "string")) return list;
    throw fail(`${count} names and stamps`, Array.isArray(list) ? `${list.length}` : "something else");
  }
}

function isScale(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && Math.fround(value) <= MOST_SCALE;
}
