import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ENDINGS, type Format, formatOf } from "../../../src/node/formats/formats.ts";
import { peer } from "../../../src/node/formats/peer.ts";
import { VectorIndex } from "../../../src/node/vector-index.ts";
import { decodeVector, encodeVector } from "../../../src/search/encode-vector.ts";
import type { Vectors } from "../../../src/search/vectors.ts";
import { mutateBytes, Random } from "../../fuzz/random.ts";
import { contents, DTYPES, make, values } from "./vectors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "siglip-formats-"));
});
afterAll(() => rm(folder, { recursive: true }));

const oneSentence = /^[^:]+: wanted [^;]*, found [^;]*; [^;]*\.$/;

/** Formats that need no package beside this one. */
const FORMATS = ENDINGS.filter((ending) => ![".sqlite", ".lance"].includes(ending)).map((ending) => formatOf(ending)!);

/** Damaged files of each format and dtype. */
const ROUNDS = process.env.SIGLIP_LONG === "1" ? 1000 : 30;

async function read(path: string) {
  const vectors = await formatOf(path)!.open(path);
  try {
    return await contents(vectors);
  } finally {
    await vectors.close();
  }
}

describe("a stored embedding", () => {
  it("differs by no more than is said of its dtype", () => {
    for (let seed = 0; seed < 50; seed++) {
      const vector = values(24, seed).map((value) => value * 2 ** ((seed % 60) - 30));
      if (seed % 10 === 0) vector.fill(0);
      if (seed % 10 === 1) for (let i = 0; i < 24; i++) vector[i] = (i * 8 - 90) * 2 ** -149;
      const top = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const error = (dtype: (typeof DTYPES)[number], bound: (value: number, scale: number) => number) => {
        const stored = encodeVector(vector, dtype);
        const back = decodeVector(stored, dtype);
        for (const [i, value] of vector.entries()) {
          expect(Math.abs(back[i] - value)).toBeLessThanOrEqual(bound(value, stored.scale));
        }
        if (dtype === "i8" && top > 1e-30)
          expect(stored.scale).toBeCloseTo((top || 127) / 127, 5 - Math.log10(top || 1));
      };
      error("f32", () => 0);
      if (top <= 65504) error("f16", (value) => Math.max(Math.abs(value) / 2048, 2 ** -25));
      error("i8", (_, scale) => (scale / 2) * (1 + 2 ** -15));
    }
  });

  it("is none of what is not finite, nor of what half precision has no room for", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const dtype of DTYPES) expect(() => encodeVector(Float32Array.of(1, bad, 2), dtype)).toThrow(oneSentence);
    }
    expect(() => encodeVector(Float32Array.of(65505), "f16")).toThrow(oneSentence);
    expect(() => encodeVector(Float32Array.of(3.4e38), "i8")).toThrow(oneSentence);
    expect(decodeVector(encodeVector(Float32Array.of(3.37e38, 1), "i8"), "i8").every(Number.isFinite)).toBe(true);
  });
});

describe.each(FORMATS)("$ending", (format: Format) => {
  const at = (name: string) => join(folder, `${name}${format.ending}`);
  const both = format.ending !== ".npy";

  it("gives back what it was given, to the bit", async () => {
    for (const dtype of DTYPES) {
      for (const [image, text] of [[10, 0], [0, 9], [0, 0], ...(both ? [[9, 8]] : [])]) {
        const wanted = make({ image, text }, dtype);
        const path = at(`${dtype}-${image}-${text}`);
        await format.check(path);
        await format.write(path, wanted);
        expect(await read(path)).toEqual(await contents(wanted));
      }
    }
    expect((await readdir(folder)).filter((name) => name.includes(".tmp"))).toEqual([]);
  });

  it("leaves what stood there until all of it is written", async () => {
    const path = at("kept");
    await format.write(path, make({ image: 3, text: 0 }));
    const before = await readFile(path);
    const failing: Vectors = {
      ...make({ image: 2000, text: 0 }),
      async *rows() {
        for await (const row of make({ image: 1000, text: 0 }).rows()) yield row;
        throw new Error("no more");
      },
    };
    await expect(format.write(path, failing)).rejects.toThrow("no more");
    const abort = AbortSignal.abort(new Error("stopped"));
    await expect(format.write(path, make({ image: 9, text: 0 }), abort)).rejects.toThrow("stopped");
    expect(await readFile(path)).toEqual(before);
    expect(await read(path)).toEqual(await contents(make({ image: 3, text: 0 })));
    await expect(format.check(join(folder, "nowhere", `a${format.ending}`))).rejects.toThrow(oneSentence);
    expect((await readdir(folder)).filter((name) => name.includes(".tmp"))).toEqual([]);
  });

  it("refuses damaged files in one sentence, or gives finite embeddings", async () => {
    const path = at("mutated");
    const random = new Random(format.ending);
    for (const dtype of DTYPES) {
      await format.write(path, make({ image: 4, text: both ? 3 : 0 }, dtype));
      const sound = await readFile(path);
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = round < 8 ? sound.subarray(0, (sound.length * round) >> 3) : mutateBytes(random, sound, [sound]);
        await writeFile(path, bytes);
        let found: Awaited<ReturnType<typeof read>>;
        try {
          found = await read(path);
        } catch (error) {
          expect((error as Error).message, String((error as Error).stack)).toMatch(
            /^[^\n]+: wanted .*, found .*; .*\.$/s,
          );
          expect(error).toMatchObject({ code: "bad-input" });
          continue;
        }
        for (const { bytes, scale } of found.rows) {
          const row = decodeVector({ bytes: Buffer.from(bytes, "hex"), scale }, found.header.dtype);
          expect(row).toHaveLength(found.header.width);
          expect(row.every(Number.isFinite)).toBe(true);
        }
      }
    }
  });

  it("makes an index, and takes one", async () => {
    for (const dtype of DTYPES) {
      const count = dtype === "i8" ? 4100 : 9;
      const wanted = make({ image: count, text: 0 }, dtype, 4);
      await format.write(at("index"), wanted);
      for (const inFileFrom of [0, Number.POSITIVE_INFINITY]) {
        using index = await VectorIndex.load(at("index"), { inFileFrom });
        expect(index.size).toBe(count);
        expect(index.origin).toEqual(wanted.header.origin);
        let row = 0;
        for await (const stored of wanted.rows()) {
          if (row % 499 === 0) {
            expect(await index.row(row)).toEqual(decodeVector(stored, dtype).slice());
            expect(index.name(row)).toBe(stored.name || undefined);
          }
          row++;
        }
        index.remove(1);
        await index.save(at("saved"));
        const saved = await read(at("saved"));
        expect(saved.header).toMatchObject({
          dtype: "f32",
          counts: { image: count - 1 },
          origin: wanted.header.origin,
        });
        await expect(VectorIndex.load(at("saved"), { kind: "text" })).rejects.toThrow(oneSentence);
      }
    }
  });
});

it("keeps many names out of a safetensors header", async () => {
  const path = join(folder, "many.safetensors");
  const nameOf = (row: number) => `ü "${row}" ${"long/".repeat(12)}`;
  const wanted = make({ image: 9000, text: 9000 }, "i8", 3, {}, nameOf);
  await formatOf(path)!.write(path, wanted);
  const header = new DataView((await readFile(path)).buffer).getUint32(0, true);
  expect(header).toBeLessThan(1000);
  expect(await read(path)).toEqual(await contents(wanted));
  using index = await VectorIndex.load(path, { kind: "text" });
  expect(index.name(8999)).toBe(nameOf(8999));
});

it("refuses an origin of lists in lists, however many", async () => {
  const deep = "[".repeat(20_000) + "]".repeat(20_000);
  const path = join(folder, "deep.jsonl");
  await writeFile(path, `{"width":3,"origin":{"model":${deep}}}\n`);
  const unsound = {
    code: "bad-input",
    message: expect.stringMatching(/an origin of strings, as JSON, found something else/),
  };
  await expect(formatOf(path)!.open(path)).rejects.toEqual(expect.objectContaining(unsound));
});

it("says which package to install where one is missing", async () => {
  const path = join(folder, "vectors.sqlite");
  // Node 20 has no SQLite of its own.
  if (process.versions.node.startsWith("20.")) {
    const missing = expect.objectContaining({ code: "no-device", message: expect.stringMatching(/better-sqlite3/) });
    await expect(formatOf(path)!.check(path)).rejects.toEqual(missing);
    await expect(formatOf(path)!.write(path, make({ image: 1, text: 0 }))).rejects.toEqual(missing);
  }
  expect(() => peer("no-such-package", path)).toThrow(/: wanted .*, found none; run npm install no-such-package\.$/);
});
