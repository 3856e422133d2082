import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { readProvenance } from "../../src/bulk/origin.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { Siglip, VectorIndex } from "../../src/node.ts";
import { encodeVector } from "../../src/search/encode-vector.ts";
import { encodeVectors } from "../../src/search/vectors-file.ts";
import { originOf } from "../../src/web/models/origin.ts";
import type { RemoteModel } from "../../src/web/models/remote.ts";
import { exportIndex, importIndex } from "../../src/web/search/exchange.ts";
import { Library } from "../../src/web/search/library.ts";
import type { Entry } from "../../src/web/search/store.ts";

const origin = { model: "demo", dtype: "f16", image: "{}" };
const model = { key: "demo f16", dim: 3, towers: [], origin } as unknown as RemoteModel;

const entry = (folder: string, path: string, stamp: string, ...values: number[]): Entry => ({
  picture: { id: [folder && `${folder}/`, path, stamp && ` ${stamp}`].join(""), folder, path },
  embedding: Float32Array.from(values),
  thumbnail: undefined,
});

async function libraryOf(...entries: Entry[]): Promise<Library> {
  const library = await Library.open(() => {});
  await library.use(model);
  await library.addEmbedded(
    (async function* () {
      yield entries;
    })(),
  );
  return library;
}

const asFile = (blob: Blob, name = "photos.safetensors") => new File([blob], name);

/** A file with these metadata and embeddings [n, width], whatever they are. */
async function fileOf(metadata: Record<string, string>, values: number[], width: number, name = "image_embeds") {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  const data = (async function* () {
    yield bytes;
  })();
  const tensor = { name, dtype: "F32" as const, shape: [values.length / width, width], data };
  const parts: BlobPart[] = [];
  for await (const part of writeSafetensors([tensor], Object.entries(metadata))) parts.push(part as BlobPart);
  return asFile(new Blob(parts));
}

it("an index that is saved is opened again with names, stamps and every bit, beside what is there", async () => {
  const library = await libraryOf(
    entry("photos", "a.jpg", "10-20", 1, 0, 0),
    entry("photos", "inner/ü\u2028.jpg", "11-21", 0, 0.6, 0.8),
    entry("", "https://example.org/b.jpg", "", 0, 1, 0),
  );
  const file = asFile(await exportIndex(library, model));
  const path = join(mkdtempSync(join(tmpdir(), "exchange-")), "photos.safetensors");
  writeFileSync(path, new Uint8Array(await file.arrayBuffer()));
  const index = await VectorIndex.load(path);
  rmSync(dirname(path), { recursive: true });
  expect(index.origin).toEqual(origin);
  expect(await index.search(Float32Array.of(1, 0, 0), { most: 1 })).toEqual([
    { index: 0, score: 1, name: "photos/a.jpg" },
  ]);
  const other = await libraryOf(entry("photos", "a.jpg", "10-99", 0, 0, 1), entry("x", "c.jpg", "1-1", 0, 0, 1));
  expect(await importIndex(file, other, model)).toEqual({ added: 2, known: 1 });
  expect(other.searchable).toEqual([
    "photos/a.jpg 10-99",
    "x/c.jpg 1-1",
    "photos/inner/ü\u2028.jpg 11-21",
    "https://example.org/b.jpg",
  ]);
  expect(other.pictures.get("photos/inner/ü\u2028.jpg 11-21")).toMatchObject({
    folder: "photos",
    path: "inner/ü\u2028.jpg",
  });
  expect(await other.embeddingOf("photos/inner/ü\u2028.jpg 11-21")).toEqual(Float32Array.of(0, 0.6, 0.8));
  expect(await importIndex(file, other, model)).toEqual({ added: 0, known: 3 });
});

it("what a model says of itself is what siglip embed says of it", async () => {
  using loaded = await Siglip.load("demo", { dtype: "f16" });
  const { origin } = await readProvenance("demo", { dtype: "f16" });
  expect(origin).toMatchObject(originOf("demo", loaded));
});

it("pictures that an index names by longer paths are known once their folder is chosen", async () => {
  const library = await libraryOf(
    entry("", "/home/me/photos/in/a.jpg", "10-20", 1, 0, 0),
    entry("", "/home/me/photos/b.jpg", "11-21", 0, 1, 0),
  );
  const found = (path: string, stamp: string) => {
    const id = `photos/${path} ${stamp}`;
    return { id, folder: "photos", path, open: async () => new File([], path) };
  };
  await library.add({ name: "photos", pictures: [found("in/a.jpg", "10-20"), found("b.jpg", "11-99")] });
  expect(library.searchable).toEqual(["/home/me/photos/b.jpg 11-21", "photos/in/a.jpg 10-20"]);
  expect([...library.pictures.keys()].at(-1)).toBe("photos/b.jpg 11-99");
  expect(await library.search(Float32Array.of(1, 0, 0))).toEqual([
    { id: "photos/in/a.jpg 10-20", score: 1 },
    { id: "/home/me/photos/b.jpg 11-21", score: 0 },
  ]);
});

it("embeddings of 8 bits and of 16 are opened as what they stand for", async () => {
  for (const dtype of ["i8", "f16"] as const) {
    const values = Float32Array.of(0.6, -0.8, 0);
    const row = { kind: "image" as const, name: "photos/a.jpg", stamp: "1-2", ...encodeVector(values, dtype) };
    const parts: BlobPart[] = [];
    const vectors = {
      header: { width: 3, dtype, counts: { image: 1, text: 0 }, origin },
      async *keys() {
        yield row;
      },
      async *rows() {
        yield row;
      },
    };
    for await (const part of encodeVectors(vectors)) parts.push(part as BlobPart);
    const library = await libraryOf();
    expect(await importIndex(asFile(new Blob(parts)), library, model)).toEqual({ added: 1, known: 0 });
    const found = (await library.embeddingOf("photos/a.jpg 1-2"))!;
    for (const [i, value] of values.entries()) expect(Math.abs(found[i] - value)).toBeLessThan(0.8 / 250);
  }
});

it("a file of another model, of texts, or damaged is refused in a sentence and adds nothing", async () => {
  const library = await libraryOf();
  const said = async (file: File) => (await importIndex(file, library, model).catch((error: Error) => error)) as Error;
  const made = { images: '["a","b"]', origin: JSON.stringify(origin) };
  const cases: [File, RegExp][] = [
    [await fileOf({}, [1, 0], 2), /wanted embeddings of 3 values, found 2; load the model that made them\.$/],
    [
      await fileOf({}, [1, 0, 0], 3, "text_embeds"),
      /wanted embeddings of pictures, found 1 of texts; choose another file\.$/,
    ],
    [
      await fileOf({ origin: JSON.stringify({ ...origin, model: "other" }) }, [1, 0, 0], 3),
      /wanted embeddings by model demo, found other; load the model that made them\.$/,
    ],
    [
      await fileOf({ origin: JSON.stringify({ ...origin, image: '{"size":[1,1]}' }) }, [1, 0, 0], 3),
      /wanted pictures prepared as for the model in use, found others; .*\.$/,
    ],
    [await fileOf(made, [1, 0, 0, 0, Number.NaN, 0], 3), /wanted finite embeddings, found others in row 1 .*\.$/],
    [await fileOf({ ...made, images: '["a"]' }, [1, 0, 0, 0, 1, 0], 3), /wanted a JSON list of 2 names, found .*\.$/],
    [asFile(new Blob(["no such file"])), /^photos\.safetensors: wanted .*, found .*; .*\.$/],
    [
      asFile((await fileOf(made, [1, 0, 0, 0, 1, 0], 3)).slice(0, -4)),
      /^photos\.safetensors: wanted .*, found .*; .*\.$/,
    ],
  ];
  for (const [file, sentence] of cases) expect((await said(file)).message).toMatch(sentence);
  expect(library.pictures.size).toBe(0);
  const unnamed = await fileOf({}, [1, 0, 0, 0, 1, 0], 3);
  expect(await importIndex(unnamed, library, model)).toEqual({ added: 2, known: 0 });
  expect(library.searchable).toEqual(["photos.safetensors/1", "photos.safetensors/2"]);
});
