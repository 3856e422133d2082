import { describe, expect } from "vitest";
import { float32ToHalf } from "../../src/support/numbers.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import type { RowChunk } from "../../src/tensor/packing.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { packRows } from "../../src/tensor/quantise.ts";
import { onEvery } from "../harness/backends.ts";
import { random } from "../judge/reference.ts";
import { Sketch } from "./conformance.ts";

const OUT = 13;

/** Chunks of five rows, each at an odd address, as a view of a file may be, and overwritten when the next is asked for. */
async function* inPieces(make: (from: number, to: number) => RowChunk): AsyncGenerator<RowChunk> {
  for (let from = 0; from < OUT; from += 5) {
    const chunk = make(from, Math.min(OUT, from + 5));
    const [bytes, scales] = [shifted(chunk.bytes), chunk.scales && shifted(chunk.scales)];
    yield (scales ? { ...chunk, bytes, scales } : { ...chunk, bytes }) as RowChunk;
    for (const part of [bytes, scales]) part?.fill(0xff);
  }
}

function shifted(bytes: Uint8Array): Uint8Array {
  const moved = new Uint8Array(bytes.length + 1).subarray(1);
  moved.set(bytes);
  return moved;
}

function view({ buffer }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer);
}

/** The weights that a backend has made of chunks: the linear map of the unit vectors. */
async function weights(
  b: Backend,
  depth: number,
  dtype: WeightDType,
  chunks: AsyncIterable<RowChunk>,
): Promise<Float32Array> {
  const weight = { name: "w", shape: [OUT, depth], dtype };
  await b.weight(weight, chunks);
  await b.loaded();
  const sketch = new Sketch(b);
  const bias = sketch.constant(new Float32Array(OUT), [OUT]);
  const identity = Float32Array.from({ length: depth * depth }, (_, i) => (i % (depth + 1) === 0 ? 1 : 0));
  return sketch.run(sketch.p.linear(sketch.input(identity, [depth, depth]), { weight, bias }));
}

/** Rows packed beforehand, and rows of each stored float, become what float32 rows of the same values become. */
async function alike(b: Backend, depth: number): Promise<void> {
  const values = random(OUT * depth, depth, 0.03);
  const part = (from: number, to: number) => values.slice(from * depth, to * depth);
  const floats = (data: Float32Array) =>
    inPieces((from, to) => ({ dtype: "F32", rows: to - from, bytes: view(data.slice(from * depth, to * depth)) }));
  for (const dtype of ["f16", "q8", "q4"] as const) {
    const packed = inPieces((from, to) => packRows(part(from, to), depth, dtype));
    expect(await weights(b, depth, dtype, packed), `${dtype} packed`).toEqual(
      await weights(b, depth, dtype, floats(values)),
    );
  }
  const short = Float32Array.from(values, (value) => {
    const [bits] = new Uint32Array(Float32Array.of(value).buffer);
    return new Float32Array(Uint32Array.of(bits & 0xffff0000).buffer)[0];
  });
  const half = values.map((value) => Math.round(value * 1024) / 1024);
  for (const dtype of ["f32", "f16", "q8", "q4"] as const) {
    const brief = inPieces((from, to) => {
      const bits = new Uint32Array(short.slice(from * depth, to * depth).buffer);
      return { dtype: "BF16", rows: to - from, bytes: view(Uint16Array.from(bits, (word) => word >>> 16)) };
    });
    expect(await weights(b, depth, dtype, brief), `${dtype} of BF16`).toEqual(
      await weights(b, depth, dtype, floats(short)),
    );
    const halves = inPieces((from, to) => ({
      dtype: "F16",
      rows: to - from,
      bytes: view(float32ToHalf(half.slice(from * depth, to * depth))),
    }));
    expect(await weights(b, depth, dtype, halves), `${dtype} of F16`).toEqual(
      await weights(b, depth, dtype, floats(half)),
    );
  }
}

async function refuses(b: Backend): Promise<void> {
  const chunk = packRows(random(OUT * 33, 1), 33, "q4");
  const give = (changes: Partial<RowChunk>, dtype: WeightDType = "q4") =>
    weights(
      b,
      33,
      dtype,
      (async function* () {
        yield { ...chunk, ...changes } as RowChunk;
      })(),
    );
  await expect(give({}, "q8")).rejects.toThrow(
    "w: wanted float rows or rows packed as q8, found Q4; load with the dtype they were packed for.",
  );
  await expect(give({ bytes: chunk.bytes.subarray(1) })).rejects.toThrow(
    /w: wanted 13 rows .* 416 and 52 bytes, found 415 and 52/,
  );
  await expect(give({ scales: chunk.scales!.subarray(2) })).rejects.toThrow(/found 416 and 50/);
  await expect(give({ dtype: "F16", scales: undefined })).rejects.toThrow(/in 858 bytes, found 416;/);
  await expect(give({ rows: 14 })).rejects.toThrow(/448 and 56 bytes/);
}

describe("chunks of rows", () => {
  onEvery("become the same weights packed or not", { precision: "all" }, async (b) => {
    for (const depth of [32, 33, 101]) await alike(b, depth);
  });

  onEvery("of the wrong kind or length are refused", { precision: "all" }, refuses);
});
