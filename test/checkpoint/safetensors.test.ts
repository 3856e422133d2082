import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  asTyped,
  type DType,
  elementSize,
  encodeHeader,
  readHeader,
  readTensor,
  type TensorData,
  writeSafetensors,
} from "../../src/checkpoint/safetensors.ts";
import { bytesSource, type Source } from "../../src/checkpoint/source.ts";
import { SiglipError } from "../../src/support/error.ts";

const integers: DType[] = ["I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"];
const dtypes: DType[] = ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", ...integers];

/** A file with this header and so many bytes of data. */
function file(header: string | Uint8Array, data = 0, name = "weights.safetensors"): Source {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytesSource(bytes, name);
}

async function written(tensors: TensorData[], metadata?: [string, string][]): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeSafetensors(tensors, metadata)) chunks.push(chunk);
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** The message of the SiglipError that a promise rejects with: one sentence. */
async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(/^[^\n]+\.$/);
  return error.message;
}

const tensor = (dtype: string, shape: string, offsets: string) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

describe("writing and reading back", () => {
  it("keeps every dtype, shape, name and byte", async () => {
    const tensors = dtypes.map((dtype, i) => {
      const data = Uint8Array.from({ length: 6 * elementSize(dtype) }, (_, j) => 31 * i + j);
      return { name: `${dtype} "é\\ \u{1f600}`, dtype, shape: [1, 2, 3], data };
    });
    const source = bytesSource(await written(tensors, [["format", "pt"]]));
    const header = await readHeader(source);
    expect([...header.metadata]).toEqual([["format", "pt"]]);
    expect(header.tensors.size).toBe(dtypes.length);
    for (const { name, dtype, shape, data } of tensors) {
      const info = header.tensors.get(name)!;
      expect(info).toMatchObject({ name, dtype, shape });
      expect(info.begin % elementSize(dtype)).toBe(0);
      const bytes = await readTensor(source, info);
      expect(bytes).toEqual(data);
      expect(new Uint8Array(asTyped(bytes, dtype).slice().buffer)).toEqual(data);
    }
  });

  it("writes the very bytes of the format", async () => {
    const bytes = await written([{ name: "a", dtype: "U8", shape: [2], data: new Uint8Array([7, 9]) }]);
    const header = '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   ';
    expect(bytes).toEqual(
      new Uint8Array([header.length, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(header), 7, 9]),
    );
    expect(await written([])).toEqual(new Uint8Array([8, 0, 0, 0, 0, 0, 0, 0, 123, 125, 32, 32, 32, 32, 32, 32]));
  });

  it("takes scalars, empty axes and an empty file", async () => {
    const source = bytesSource(
      await written([
        { name: "scalar", dtype: "F32", shape: [], data: new Uint8Array(4) },
        { name: "empty", dtype: "I64", shape: [3, 0, 2], data: new Uint8Array(0) },
      ]),
    );
    const { tensors } = await readHeader(source);
    expect(await readTensor(source, tensors.get("scalar")!)).toHaveLength(4);
    expect(await readTensor(source, tensors.get("empty")!)).toHaveLength(0);
    expect((await readHeader(bytesSource(await written([])))).tensors.size).toBe(0);
  });

  it("streams: a part is asked for when the part before it has been taken", async () => {
    const made: number[] = [];
    const parts = async function* () {
      for (let i = 0; i < 4; i++) {
        made.push(i);
        yield new Uint8Array(2).fill(i);
      }
    };
    const stream = writeSafetensors([{ name: "a", dtype: "U8", shape: [8], data: parts() }]);
    await stream.next();
    expect(made).toEqual([]);
    expect((await stream.next()).value).toEqual(new Uint8Array([0, 0]));
    expect(made).toEqual([0]);
  });

  it("keeps what is generated (property)", async () => {
    const entry = fc.record({
      name: fc.string().filter((name) => name !== "__proto__" && name !== "__metadata__"),
      dtype: fc.constantFrom(...dtypes),
      shape: fc.array(fc.nat(3), { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(entry, { selector: ({ name }) => name, maxLength: 5 }), async (entries) => {
        const tensors = entries.map((e) => ({
          ...e,
          data: new Uint8Array(e.shape.reduce((a, b) => a * b, elementSize(e.dtype))).fill(e.name.length),
        }));
        const source = bytesSource(await written(tensors));
        const header = await readHeader(source);
        expect(header.tensors.size).toBe(tensors.length);
        for (const { name, dtype, shape, data } of tensors) {
          expect(header.tensors.get(name)).toMatchObject({ dtype, shape });
          expect(await readTensor(source, header.tensors.get(name)!)).toEqual(data);
        }
      }),
    );
  });

  it("refuses what makes no file", async () => {
    const one = { name: "a", dtype: "U8" as const, shape: [2], data: new Uint8Array(2) };
    const cases: [TensorData[], string][] = [
      [[one, one], "twice"],
      [[{ ...one, name: "__metadata__" }], "__metadata__"],
      [[{ ...one, name: "__proto__" }], "__proto__"],
      [[{ ...one, shape: [-1] }], "axis -1"],
      [[{ ...one, shape: [0.5, 4] }], "axis 0.5"],
      [[{ ...one, shape: [2 ** 40, 2 ** 40] }], "2^53"],
      [[{ ...one, shape: new Array(65).fill(1) }], "65 axes"],
      [[{ ...one, data: new Uint8Array(1) }], "only 1 bytes"],
      [[{ ...one, data: [new Uint8Array(1), new Uint8Array(2)] }], "more bytes"],
      [[{ ...one, data: new Float32Array(2) as unknown as Uint8Array }], "more bytes"],
      [[{ ...one, dtype: "u8" as DType }], "found u8"],
    ];
    for (const [tensors, reason] of cases) expect(await refusal(written(tensors))).toContain(reason);
    expect(() => encodeHeader([], [["__proto__", ""]])).toThrow(SiglipError);
    expect(() => asTyped(new Uint8Array(3), "F32")).toThrow(SiglipError);
  });
});

describe("reading what others wrote", () => {
  it("takes odd offsets, any order, white space and escapes", async () => {
    const source = file(
      `{ "b" : ${tensor("F32", "[1, 1]", "[1, 5]")}\n,\t"__metadata__":{"k":"v","\\u00e9":"\\""},"\\u0061\\"":${tensor("I8", "[]", "[0,1]")}}   `,
      5,
    );
    const { tensors, metadata } = await readHeader(source);
    expect([...metadata]).toEqual([
      ["k", "v"],
      ["é", '"'],
    ]);
    expect([...tensors.keys()]).toEqual(["b", 'a"']);
    const { begin, end } = tensors.get("b")!;
    expect([end - begin, end]).toEqual([4, source.size]);
    expect(asTyped(await readTensor(source, tensors.get("b")!), "F32")).toEqual(new Float32Array(1));
  });

  const valid = tensor("F32", "[2]", "[0,8]");
  const cases: [string, Source, string][] = [
    ["an empty file", bytesSource(new Uint8Array(0), "weights.safetensors"), "only 0 bytes"],
    [
      "a header longer than the file",
      bytesSource(new Uint8Array(9).fill(2), "weights.safetensors"),
      "where the file has 9",
    ],
    [
      "a header of more than 100 MB",
      { name: "weights.safetensors", size: 1e9, read: async () => new Uint8Array([1, 225, 245, 5, 0, 0, 0, 0]) },
      "100000001 bytes where 100000000 are allowed",
    ],
    ["invalid UTF-8", file(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])), "not valid UTF-8"],
    ["a byte order mark", file("\ufeff{}"), "does not begin with {"],
    ["no object", file("[]"), "does not begin with {"],
    ["a header that ends early", file('{"a":'), 'its end at character 5, in "a", for {'],
    ["a string that ends early", file('{"a'), "ends within a string"],
    ["an invalid escape", file('{"\\x":{}}'), "invalid string at character 1"],
    ["a line break within a string", file('{"a\n":{}}'), "invalid string at character 1"],
    ["text after the header", file("{}{"), '"{" at character 2'],
    ["a trailing comma", file(`{"a":${valid},}`, 8), "a string"],
    ["a name given twice", file(`{"a":${valid},"a":${valid}}`, 8), '"a" twice'],
    ["a name given twice, once escaped", file(`{"a":${valid},"\\u0061":${valid}}`, 8), '"a" twice'],
    ["a field given twice", file('{"a":{"dtype":"F32","dtype":"F32"}}'), '"dtype" twice'],
    ["a metadata key given twice", file('{"__metadata__":{"a":"","a":""}}'), '"a" twice'],
    ["metadata that is no map", file('{"__metadata__":"x"}'), '"__metadata__", for {'],
    ["metadata that is no text", file('{"__metadata__":{"a":1}}'), '"__metadata__", for a string'],
    ["__proto__ as a name", file(`{"__proto__":${valid}}`, 8), "__proto__"],
    ["__proto__ in a tensor", file('{"a":{"__proto__":{"dtype":"F32"}}}'), "__proto__"],
    ["__proto__ in the metadata", file('{"__metadata__":{"__proto__":"x"}}'), "__proto__"],
    ["an unknown dtype", file(`{"a":${tensor("F4", "[2]", "[0,1]")}}`, 1), '"a" has the unknown dtype "F4"'],
    ["a dtype that every object has", file(`{"a":${tensor("constructor", "[2]", "[0,1]")}}`, 1), '"constructor"'],
    ["an unknown field", file('{"a":{"stride":[1]}}'), '"a" has the key "stride"'],
    ["no dtype", file('{"a":{"shape":[],"data_offsets":[0,4]}}', 4), 'the unknown dtype ""'],
    ["no shape", file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), '"a" has no shape'],
    ["no offsets", file('{"a":{"dtype":"F32","shape":[]}}', 4), "0 data_offsets"],
    ["three offsets", file(`{"a":${tensor("F32", "[]", "[0,2,4]")}}`, 4), "3 data_offsets"],
    ["a negative axis", file(`{"a":${tensor("F32", "[-2]", "[0,8]")}}`, 8), "the size -2"],
    ["a fractional axis", file(`{"a":${tensor("F32", "[2.0]", "[0,8]")}}`, 8), "the size 2.0"],
    ["an exponent", file(`{"a":${tensor("F32", "[2e0]", "[0,8]")}}`, 8), "the size 2e0"],
    ["an axis beyond 2^53", file(`{"a":${tensor("F32", "[9007199254740993]", "[0,8]")}}`, 8), "9007199254740993"],
    ["a shape beyond 2^53", file(`{"a":${tensor("F32", "[4294967296,4294967296]", "[0,8]")}}`, 8), "more than 2^53"],
    ["an axis that is no number", file(`{"a":${tensor("F32", '["2"]', "[0,8]")}}`, 8), "a number"],
    ["65 axes", file(`{"a":${tensor("F32", `[${"1,".repeat(64)}1]`, "[0,4]")}}`, 4), "more than 64 numbers"],
    ["deep nesting", file(`{"a":{"shape":${"[".repeat(1e6)}`), "a number"],
    ["bytes that do not match the shape", file(`{"a":${tensor("F32", "[3]", "[0,8]")}}`, 8), "takes 12 bytes"],
    ["a range that ends before it begins", file(`{"a":${tensor("F32", "[2]", "[8,0]")}}`, 8), "takes 8 bytes"],
    ["a tensor out of the file", file(`{"a":${tensor("F32", "[2]", "[0,8]")}}`, 7), "where the file has"],
    ["overlapping tensors", file(`{"a":${valid},"b":${tensor("F32", "[2]", "[4,12]")}}`, 12), '"b" in bytes'],
    ["one range for two tensors", file(`{"a":${valid},"b":${valid}}`, 8), "overlaps"],
    ["a gap", file(`{"a":${valid},"b":${tensor("F32", "[2]", "[9,17]")}}`, 17), 'before "b"'],
    ["a gap at the beginning", file(`{"a":${tensor("F32", "[2]", "[1,9]")}}`, 9), 'before "a"'],
    ["bytes after the last tensor", file(`{"a":${valid}}`, 9), "after the last tensor"],
  ];
  for (const [what, source, reason] of cases) {
    it(`refuses ${what}`, async () => {
      const message = await refusal(readHeader(source));
      expect(message).toMatch(/^weights\.safetensors: /);
      expect(message).toContain(reason);
    });
  }

  it("refuses more names than any model has", async () => {
    const names = Array.from({ length: 1_000_001 }, (_, i) => `"${i}":""`);
    expect(await refusal(readHeader(file(`{"__metadata__":{${names.join()}}}`)))).toContain("more than 1000000 names");
  }, 60_000);

  it("shortens a name of a megabyte in the message", async () => {
    const message = await refusal(readHeader(file(`{"${"x".repeat(2 ** 20)}":{"dtype":"?"}}`)));
    expect(message.length).toBeLessThan(400);
  });

  it("passes an abort on to the source", async () => {
    const read: Source["read"] = async (_offset, _length, signal) => {
      signal?.throwIfAborted();
      return new Uint8Array(8);
    };
    const promise = readHeader({ name: "a", size: 8, read }, AbortSignal.abort());
    await expect(promise).rejects.toMatchObject({ name: "AbortError" });
  });

  it("either reads a damaged file or refuses it in a sentence (property)", async () => {
    const whole = await written(
      dtypes.map((dtype) => ({ name: dtype, dtype, shape: [2, 2], data: new Uint8Array(4 * elementSize(dtype)) })),
      [["format", "pt"]],
    );
    const change = fc.record({
      at: fc.nat(whole.length - 1),
      byte: fc.oneof(fc.nat(255), fc.constantFrom(...'"{}[]:,\\019-')),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(20), async (changes, cut) => {
        const bytes = whole.slice(0, cut === 0 ? whole.length - 1 : whole.length);
        for (const { at, byte } of changes) bytes[at] = typeof byte === "string" ? byte.charCodeAt(0) : byte;
        const error = await readHeader(bytesSource(bytes)).then(
          () => undefined,
          (reason) => reason,
        );
        if (error !== undefined) expect(error).toBeInstanceOf(SiglipError);
        if (cut === 0) expect(error).toBeInstanceOf(SiglipError);
      }),
      { numRuns: 5000 },
    );
  });

  it("agrees with JSON.parse on every header it takes (property)", async () => {
    const value = fc.oneof(fc.constantFrom("F32", "U8", "x"), fc.nat(4), fc.array(fc.nat(4), { maxLength: 3 }));
    const key = fc.constantFrom("dtype", "shape", "data_offsets", "__metadata__", "a", "é");
    const member = fc.oneof(value, fc.dictionary(key, value), fc.jsonValue({ maxDepth: 2 }));
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.oneof(key, fc.string()), member, { maxKeys: 4 }), async (object) => {
        const header = await readHeader(file(JSON.stringify(object))).catch((error) => {
          expect(error).toBeInstanceOf(SiglipError);
        });
        if (!header) return;
        const { __metadata__, ...tensors } = object;
        expect(new Set(header.tensors.keys())).toEqual(new Set(Object.keys(tensors)));
        for (const [name, { dtype, shape }] of header.tensors) expect(tensors[name]).toMatchObject({ dtype, shape });
      }),
      { numRuns: 3000 },
    );
  });
});
