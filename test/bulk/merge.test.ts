import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type MergeOptions, type MergePart, mergeVectors } from "../../src/bulk/merge.ts";
import { findLeftOut } from "../../src/bulk/repeated.ts";
import { formatOf } from "../../src/node/formats/formats.ts";
import type { Kind, StoredVector, VectorDType, Vectors } from "../../src/search/vectors.ts";
import { siglip } from "../harness/cli.ts";
import { contents, make, ORIGIN } from "../node/formats/vectors.ts";

const folder = mkdtempSync(join(tmpdir(), "siglip-merge-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A part of which it is known how often it is open. */
function part(
  name: string,
  vectors: Vectors,
): MergePart & { open: () => Promise<Vectors & { close(): Promise<void> }> } {
  return { name, open: async () => ({ ...vectors, close: async () => {} }) };
}

interface Made {
  readonly names: readonly string[];
  readonly texts?: readonly string[];
  readonly shard?: string;
  readonly seed?: number;
  readonly dtype?: VectorDType;
  readonly width?: number;
  readonly origin?: Record<string, string>;
}

/** Embeddings of one value each that follows from the name, unless a seed is added. */
function vectors({ names, texts = [], shard, seed = 0, dtype = "f32", width = 1, origin = ORIGIN }: Made): Vectors {
  const all: [Kind, string][] = [
    ...names.map((name): [Kind, string] => ["image", name]),
    ...texts.map((name): [Kind, string] => ["text", name]),
  ];
  const rows = all.map(([kind, name]): StoredVector => {
    const bytes = new Uint8Array(Float32Array.from({ length: width }, () => name.length + seed).buffer);
    return { kind, name, stamp: kind === "image" ? "1-1" : "", bytes, scale: 1 };
  });
  return {
    header: {
      width,
      dtype,
      counts: { image: names.length, text: texts.length },
      origin: shard ? { ...origin, shard } : origin,
    },
    async *keys() {
      for (const { kind, name, stamp } of rows) yield { kind, name, stamp };
    },
    async *rows() {
      yield* rows;
    },
  };
}

/** The same of two values, of which the second is multiplied. */
function turned(names: readonly string[], factor: number): Vectors {
  const all = vectors({ names, width: 2 });
  return {
    ...all,
    async *rows() {
      for await (const row of all.rows()) {
        const [x, y] = new Float32Array(row.bytes.buffer);
        yield { ...row, bytes: new Uint8Array(Float32Array.of(x, y * factor).buffer) };
      }
    },
  };
}

async function merged(made: readonly Made[], options?: MergeOptions) {
  const { header, rows, keys } = await contents(
    await mergeVectors(
      made.map((one, index) => part(`p${index}`, vectors(one))),
      options,
    ),
  );
  expect(keys).toEqual(rows.map(({ kind, name, stamp }) => ({ kind, name, stamp })));
  return { header, names: rows.map(({ name }) => name) };
}

describe("parts", () => {
  it("are joined in their order, pictures first", async () => {
    const { names } = await merged([{ names: ["b"], texts: ["x"], shard: "1 of 2" }, { names: ["a"] }], {
      partial: true,
    });
    expect(names).toEqual(["b", "a", "x"]);
  });

  it("are joined in the order of shards where they are such", async () => {
    const { header, names } = await merged([
      { names: ["b", "a"], texts: ["x"], shard: "1 of 3" },
      { names: ["d"], shard: "0 of 3" },
      { names: ["c"], texts: ["z", "y"], shard: "2 of 3" },
    ]);
    expect(names).toEqual(["d", "b", "a", "c", "x", "z", "y"]);
    expect(header).toEqual({ width: 1, dtype: "f32", counts: { image: 4, text: 3 }, origin: ORIGIN });
  });

  it("may have the same in common, which is taken once, but for what one part has twice", async () => {
    const { header, names } = await merged([
      { names: ["a", "b", "a"], texts: ["x"] },
      { names: ["c", "b", "b"], texts: ["a", "x"] },
    ]);
    expect(names).toEqual(["a", "b", "a", "c", "x", "a"]);
    expect(header.counts).toEqual({ image: 4, text: 2 });
  });

  it("may differ by rounding, as of other hardware, where the first is taken", async () => {
    const { header, rows } = await contents(
      await mergeVectors([1, 0.99999, 1.00001].map((factor, index) => part(`p${index}`, turned(["a", "b"], factor)))),
    );
    expect(header.counts).toEqual({ image: 2, text: 0 });
    expect(rows).toEqual((await contents(turned(["a", "b"], 1))).rows);
  });

  it("are refused where one embedding is two", async () => {
    const parts = [turned(["a", "b"], 1), turned(["b"], 1.2)].map((one, index) => part(`p${index}`, one));
    await expect(mergeVectors(parts)).rejects.toThrow(
      /^p1, image "b": wanted the same embedding as in p0, up to rounding, found another; /,
    );
  });

  it("are compared although what differs does not fit into the memory for it at once", async () => {
    const names = ["a", "b", "c", "d", "e"];
    const passes: number[] = [];
    const rows = async function* (last: number) {
      passes.push(0);
      for (const [part, factor] of [1, 1.00001].entries()) {
        for (const [row, name] of names.entries()) {
          const one = turned([name], name === "e" && part === 1 ? last : factor);
          for await (const item of one.rows()) yield { item, part, row: part * names.length + row };
        }
      }
    };
    const looks = { mayBeRepeated: () => true, nameOf: (part: number) => `p${part}`, dtype: "f32", room: 20 } as const;
    expect([...(await findLeftOut(() => rows(1), looks))]).toEqual([5, 6, 7, 8, 9]);
    expect(passes.length).toBe(1 + 2);
    await expect(findLeftOut(() => rows(1.2), looks)).rejects.toThrow(/^p1, image "e"/);
  });

  it.each<[string, Partial<Made>, RegExp]>([
    ["model", { origin: { ...ORIGIN, model: "other" } }, /model google.* as in p0, found other; merge/],
    ["revision", { origin: { ...ORIGIN, revision: "other" } }, /revision 5c2a.* as in p0, found other/],
    ["weights", { origin: { ...ORIGIN, dtype: "f16" } }, /dtype q8 as in p0, found f16/],
    ["preprocessing", { origin: { ...ORIGIN, image: "256" } }, /image none as in p0, found 256/],
    ["knowledge", { origin: {} }, /model google.* found none/],
    ["width", { width: 2 }, /width 1 as in p0, found 2/],
    ["dtype", { dtype: "f16" }, /vectors f32 as in p0, found f16/],
  ])("are refused where they are of another %s", async (_, other, message) => {
    await expect(merged([{ names: ["a"] }, { names: ["b"] }, { names: ["c"], ...other }])).rejects.toThrow(message);
    await expect(merged([{ names: ["a"] }, { names: ["c"], ...other }])).rejects.toThrow(/^p1: wanted embeddings of/);
  });

  it("are refused where shards are missing, unless that is asked for", async () => {
    const shards = [0, 4, 5].map((index) => ({ names: [`${index}`], shard: `${index} of 9` }));
    await expect(merged(shards)).rejects.toThrow(/wanted all 9 shards, found 3, without 1-3 and 6-8; /);
    expect((await merged(shards, { partial: true })).names).toEqual(["0", "4", "5"]);
    const mixed = [...shards, { names: ["x"], shard: "1 of 8" }];
    await expect(merged(mixed)).rejects.toThrow(/wanted shards of 9, found one of 8/);
  });

  it("are refused where one of them changes meanwhile", async () => {
    const short = vectors({ names: ["a"] });
    const claims = { ...short, header: { ...short.header, counts: { image: 2, text: 0 } } };
    await expect(mergeVectors([part("p0", claims)])).rejects.toThrow(
      /p0: wanted the file as it was, found 1 rows less/,
    );
  });
});

describe("siglip merge", () => {
  it("joins files of any format into another, bit for bit", async () => {
    const files = [".safetensors", ".jsonl"].map((ending) => join(folder, `part${ending}`));
    const nameOf = (index: number) => (row: number) => `${index}/${row}.jpg`;
    const parts = files.map((_, index) =>
      make({ image: 3, text: index }, "i8", 24, { ...ORIGIN, shard: `${index} of 2` }, nameOf(index)),
    );
    for (const [index, file] of files.entries()) await formatOf(file)!.write(file, parts[index]);
    const out = join(folder, "all.safetensors");
    const { code, stdout, stderr } = await siglip(["merge", ...files, "--out", out]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/all\.safetensors: 6 images and 1 text of 2 parts, 24 values each, in .*\.\n$/);
    const read = await formatOf(out)!.open(out);
    const { header, rows } = await contents(read);
    await read.close();
    const [a, b] = await Promise.all(parts.map(contents));
    expect(rows).toEqual([...a.rows, ...b.rows]);
    expect(header.origin).toEqual(ORIGIN);
    writeFileSync(files[0], "damaged");
    await expect(
      mergeVectors([{ name: files[0], open: (signal) => formatOf(files[0])!.open(files[0], signal) }]),
    ).rejects.toThrow(/part\.safetensors: wanted/);
  });
});
