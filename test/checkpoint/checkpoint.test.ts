import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Checkpoint, type IndexJson, parseIndex } from "../../src/checkpoint/checkpoint.ts";
import { type DType, type TensorData, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource, Room, type Source } from "../../src/checkpoint/source.ts";
import { SiglipError } from "../../src/support/error.ts";
import { toFloat32 } from "../../src/support/numbers.ts";

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const ramp = (length: number) => Float32Array.from({ length }, (_, i) => i);

function f32(name: string, shape: number[]): TensorData {
  return { name, dtype: "F32", shape, data: bytesOf(ramp(shape.reduce((a, b) => a * b, 1))) };
}

/** A safetensors file in memory that counts what is read of it. */
async function file(name: string, ...tensors: TensorData[]): Promise<Source & { reads: number[] }> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeSafetensors(tensors)) chunks.push(chunk);
  const inner = bytesSource(new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer()), name);
  const reads: number[] = [];
  return {
    name,
    size: inner.size,
    reads,
    read(offset, length, signal) {
      reads.push(length);
      return inner.read(offset, length, signal);
    },
  };
}

async function refusal(action: () => unknown): Promise<string> {
  const error = await Promise.resolve()
    .then(action)
    .then(
      () => undefined,
      (reason) => reason,
    );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(/^[^\n]+\.$/);
  return error.message;
}

describe("rows", () => {
  it("come in whole rows, a chunk at a time, and nothing else is read", async () => {
    const source = await file("a", f32("w", [5, 2, 3]), f32("other", [1000, 1000]));
    const checkpoint = await Checkpoint.open([source]);
    source.reads.length = 0;
    const seen: number[][] = [];
    for await (const { dtype, rows, bytes } of checkpoint.rows("w", { chunkBytes: 50 })) {
      expect([dtype, rows]).toEqual(["F32", seen.length < 2 ? 2 : 1]);
      seen.push([...toFloat32(bytes, dtype)]);
    }
    expect(source.reads).toEqual([48, 48, 24]);
    expect(seen.flat()).toEqual([...ramp(30)]);
  });

  it("are at least one, however long, and at most 4 MiB by default", async () => {
    const source = await file("a", f32("wide", [3, 100]), f32("tall", [3 * 2 ** 11, 2 ** 9]));
    const checkpoint = await Checkpoint.open([source]);
    for (const chunkBytes of [1, 399, 0, -1, Number.NaN]) {
      source.reads.length = 0;
      for await (const { rows } of checkpoint.rows("wide", { chunkBytes })) expect(rows).toBe(1);
      expect(source.reads).toEqual([400, 400, 400]);
    }
    source.reads.length = 0;
    for await (const _ of checkpoint.rows("tall"));
    expect(source.reads).toEqual([2 ** 22, 2 ** 22, 2 ** 22]);
  });

  it("come in the room that is given, one after another, from files and from streams", async () => {
    const tensors = await file("a", f32("w", [5, 6]), f32("v", [3, 4]));
    const inRoom: Source = {
      ...tensors,
      async read(offset, length, signal, room) {
        const bytes = await tensors.read(offset, length, signal);
        room?.set(bytes);
        return room ?? bytes;
      },
    };
    const streams: Source = {
      ...tensors,
      async *stream(offset, length) {
        for (let at = offset; at < offset + length; at += 7)
          yield await tensors.read(at, Math.min(7, offset + length - at));
      },
    };
    for (const source of [inRoom, streams]) {
      const checkpoint = await Checkpoint.open([source]);
      const room = new Room();
      const found: Record<string, number[]> = { w: [], v: [] };
      const buffers = new Set<ArrayBufferLike>();
      for (const name of ["w", "v"]) {
        for await (const { bytes } of checkpoint.rows(name, { chunkBytes: 30, room })) {
          found[name].push(...toFloat32(bytes, "F32"));
          buffers.add(bytes.buffer);
        }
      }
      expect(found).toEqual({ w: [...ramp(30)], v: [...ramp(12)] });
      expect(buffers.size).toBe(1);
    }
  });

  it("of one axis or none are one, of an empty tensor none, and a range can be asked for", async () => {
    const source = await file("a", f32("v", [7]), f32("s", []), f32("none", [0, 4]), f32("w", [5, 2]));
    const checkpoint = await Checkpoint.open([source]);
    const counts = async (name: string, range = {}) => {
      const found: [number, number[]][] = [];
      for await (const { rows, bytes, dtype } of checkpoint.rows(name, range))
        found.push([rows, [...toFloat32(bytes, dtype)]]);
      return found;
    };
    expect(await counts("v", { chunkBytes: 4 })).toEqual([[1, [...ramp(7)]]]);
    expect(await counts("s")).toEqual([[1, [0]]]);
    expect(await counts("none")).toEqual([]);
    expect(await counts("w", { from: 1, to: 3 })).toEqual([[2, [2, 3, 4, 5]]]);
    expect(await counts("w", { from: 3 })).toEqual([[2, [6, 7, 8, 9]]]);
    expect(await counts("w", { from: 5 })).toEqual([]);
    for (const range of [{ from: -1 }, { to: 6 }, { from: 3, to: 2 }, { from: 0.5 }, { to: Number.NaN }]) {
      expect(await refusal(() => counts("w", range))).toContain("found 5 rows");
    }
  });

  it("of F16 and BF16 come as stored, of F64 as F32, of integers not at all", async () => {
    const of = (dtype: DType, data: ArrayBufferView): TensorData => ({
      name: dtype,
      dtype,
      shape: [2],
      data: bytesOf(data),
    });
    const checkpoint = await Checkpoint.open([
      await file(
        "a.safetensors",
        of("F64", new Float64Array([0.1, -2])),
        of("F16", new Uint16Array([0x3c00, 0xc000])),
        of("BF16", new Uint16Array([0x3f80, 0xc000])),
        of("I64", new BigInt64Array(2)),
        of("F8_E4M3", new Uint8Array(2)),
      ),
    ]);
    expect(await checkpoint.read("F64")).toEqual(new Float32Array([0.1, -2]));
    expect(await checkpoint.read("F16")).toEqual(new Float32Array([1, -2]));
    expect(await checkpoint.read("BF16")).toEqual(new Float32Array([1, -2]));
    const first = async (name: string) => (await checkpoint.rows(name).next()).value;
    expect(await first("F64")).toEqual({ dtype: "F32", rows: 1, bytes: bytesOf(new Float32Array([0.1, -2])) });
    expect(await first("F16")).toMatchObject({ dtype: "F16", bytes: { length: 4 } });
    expect(await first("BF16")).toMatchObject({ dtype: "BF16", bytes: { length: 4 } });
    for (const name of ["I64", "F8_E4M3"]) {
      expect(await refusal(() => first(name))).toContain(`a.safetensors: wanted ${name} as F64, F32, F16 or BF16`);
      expect(await refusal(() => checkpoint.read(name))).toContain(`found ${name}`);
    }
  });

  it("stop when the signal aborts", async () => {
    const checkpoint = await Checkpoint.open([await file("a", f32("w", [4, 4]))]);
    const abort = new AbortController();
    const reading = async () => {
      for await (const _ of checkpoint.rows("w", { chunkBytes: 16, signal: abort.signal })) abort.abort();
    };
    await expect(reading()).rejects.toMatchObject({ name: "AbortError" });
  });

  it("name a tensor that is missing", async () => {
    const checkpoint = await Checkpoint.open([await file("a.safetensors", f32("w", [1]))]);
    for (const name of ["v", "__proto__", "constructor"]) {
      expect(await refusal(() => checkpoint.info(name))).toContain(`a.safetensors: wanted the tensor ${name}`);
    }
  });
});

describe("shards", () => {
  const index = (map: Record<string, string>): IndexJson => parseIndex(JSON.stringify({ weight_map: map }));
  const [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

  it("are told apart by their file names, in any order, from paths and URLs", async () => {
    const sources = [
      await file(`/tmp/a#b/${two}`, f32("b", [2])),
      await file(`https://x/y/${one}?download=true`, f32("a", [3])),
    ];
    const checkpoint = await Checkpoint.open(sources, index({ a: one, b: two }));
    expect(checkpoint.info("a").source).toBe(sources[1]);
    expect(await checkpoint.read("b")).toEqual(ramp(2));
  });

  it("must be there, be named, and hold what the index says", async () => {
    const first = await file(one, f32("a", [3]));
    const second = await file(`C:\\model\\${two}`, f32("b", [2]));
    const open = (sources: Source[], map: Record<string, string>) =>
      refusal(() => Checkpoint.open(sources, index(map)));
    expect(await open([first], { a: one, b: two })).toContain(
      `${two}: wanted this shard once, as the index says, found it 0 times`,
    );
    expect(await open([first, first], { a: one })).toContain("found it 2 times");
    expect(await open([first, second], { a: one })).toContain("this file too");
    expect(await open([first, second], { a: two, b: one })).toContain(
      `${two}: wanted the tensor "a", which the index says it holds, found that it lies in ${one}`,
    );
    expect(await open([first, second], { a: one, b: two, c: two })).toContain(`${two}: wanted the tensor "c"`);
    expect(await refusal(() => Checkpoint.open([first, first]))).toContain('found "a" in');
    expect(await refusal(() => Checkpoint.open([]))).toContain("name at least one");
  });
});

describe("parseIndex", () => {
  it("reads names and files, and __proto__ is just a name", () => {
    const text =
      '{"metadata":{"total_size":1},"weight_map":{"b":"y.safetensors","a":"x.safetensors","__proto__":"y.safetensors"}}';
    const { files, weightMap } = parseIndex(text);
    expect(files).toEqual(["y.safetensors", "x.safetensors"]);
    expect([...weightMap.keys()]).toEqual(["b", "a", "__proto__"]);
  });

  const names = ["../x", "a/b", "a\\b", "/x", "C:x", "..", "", "a%2fb", "a?b", "a\u0000b", "a\nb", "a\ud800"];
  const files = [...names.map((name) => `${name}.safetensors`), "x.bin", "..", "", 1, null, {}, ["x.safetensors"]];
  for (const found of files) {
    it(`refuses the shard ${JSON.stringify(found)}`, async () => {
      const message = await refusal(() => parseIndex(JSON.stringify({ weight_map: { a: found } }), "i.json"));
      expect(message).toMatch(/^i\.json: wanted .* for the tensor "a";/);
    });
  }

  it("refuses what is no index", async () => {
    const texts = [
      "",
      "x",
      "null",
      "1",
      "[]",
      "{}",
      '{"weight_map":null}',
      '{"weight_map":[]}',
      '{"weight_map":{}}',
      "[".repeat(1e6),
      `{"weight_map":{"a":${"[".repeat(1e6)}${"]".repeat(1e6)}}}`,
    ];
    for (const text of texts)
      expect(await refusal(() => parseIndex(text))).toMatch(/^model\.safetensors\.index\.json: /);
    expect(await refusal(() => parseIndex(" ".repeat(2 ** 22 + 1)))).toContain("at most 4194304");
  });

  it("either reads or refuses in a sentence (property)", () => {
    const map = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.constant("a.safetensors"), fc.jsonValue()));
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      map.map((weight_map) => JSON.stringify({ weight_map })),
    );
    fc.assert(
      fc.property(text, (text) => {
        try {
          const { files, weightMap } = parseIndex(text);
          for (const file of files) expect(file).toMatch(/^[^/\\:]+\.safetensors$/);
          expect(new Set(weightMap.values())).toEqual(new Set(files));
        } catch (error) {
          expect(error).toBeInstanceOf(SiglipError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
