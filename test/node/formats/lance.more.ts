// LanceDB, with packages of its own that are found through NODE_PATH.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { Module } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { formatOf } from "../../../src/node/formats/formats.ts";
import { LanceIndex } from "../../../src/node/formats/lance-index.ts";
import { VectorIndex } from "../../../src/node/vector-index.ts";
import { CLI, failed, siglip } from "../../harness/cli.ts";
import { random } from "../../judge/reference.ts";
import { bucketEnvironment, openBucket } from "./bucket.ts";
import { packagesFolder } from "./packages.ts";
import { contents, DTYPES, make, ORIGIN, unmarked } from "./vectors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "siglip-lance-"));
});
afterAll(() => rm(folder, { recursive: true }));

const oneSentence = /^[^\n]+: wanted .*, found .*; .*\.$/s;

/** Makes what package.json beside this file names known, as a user's own installation is. */
async function usePackages(context: TestContext): Promise<void> {
  process.env.NODE_PATH = await packagesFolder(context);
  (Module as unknown as { _initPaths(): void })._initPaths();
}

async function read(path: string) {
  const vectors = await formatOf(path)!.open(path);
  return await contents(vectors).finally(() => vectors.close());
}

describe("embeddings in a LanceDB table", () => {
  it("are what they were, to the bit", async (context) => {
    await usePackages(context);
    const path = join(folder, "vectors.lance");
    const format = formatOf(path)!;
    for (const dtype of DTYPES) {
      for (const counts of [
        { image: 0, text: 0 },
        { image: 300, text: 30 },
        { image: 0, text: 3 },
      ]) {
        await format.check(path);
        // Arrow's decoder of texts drops a mark at their beginning.
        const wanted = make(counts, dtype, 24, ORIGIN, unmarked);
        await format.write(path, wanted);
        expect(await read(path)).toEqual(await contents(wanted));
      }
    }
    expect(await readdir(folder)).toEqual(["vectors.lance"]);
    const failing = make({ image: 3, text: 0 });
    failing.rows = async function* () {
      yield* make({ image: 1, text: 0 }).rows();
      throw new Error("no more");
    };
    await expect(format.write(path, failing)).rejects.toThrow("no more");
    expect(await readdir(folder)).toEqual(["vectors.lance"]);
    expect(await read(path)).toEqual(await contents(make({ image: 0, text: 3 }, "i8", 24, ORIGIN, unmarked)));
  });

  it("are refused where they are something else, which is left alone", async (context) => {
    await usePackages(context);
    const path = join(folder, "pictures.lance");
    await mkdir(path);
    await writeFile(join(path, "a.jpg"), "picture");
    const format = formatOf(path)!;
    await expect(format.check(path)).rejects.toThrow(oneSentence);
    await expect(format.write(path, make({ image: 1, text: 0 }))).rejects.toThrow(oneSentence);
    await expect(format.open(path)).rejects.toThrow(oneSentence);
    expect(await readdir(path)).toEqual(["a.jpg"]);
    await expect(format.open(join(folder, "nowhere.lance"))).rejects.toThrow(oneSentence);
    await expect(format.check(join(folder, "a b.lance"))).rejects.toThrow(oneSentence);
    await expect(format.check(join(folder, "nowhere/a.lance"))).rejects.toThrow(oneSentence);
  });

  it("are searched as they lie, with an index and without", async (context) => {
    await usePackages(context);
    const path = join(folder, "many.lance");
    const width = 512;
    const normal = (values: Float32Array) => {
      const length = Math.hypot(...values);
      return values.map((value) => value / length);
    };
    // A thousand in a cluster, as near to each other as its codes can hardly tell.
    const centres = [1, 2, 3, 4].map((seed) => normal(random(width, 1e7 + seed)));
    const unit = (seed: number) => {
      const noise = random(width, seed);
      return normal(centres[seed % 4].map((value, d) => value + noise[d] / Math.sqrt(width)));
    };
    const wanted = make(
      { image: 4000, text: 50 },
      "f32",
      width,
      {},
      (row) => `${row}.jpg`,
      (_, seed) => unit(seed),
    );
    await formatOf(path)!.write(path, wanted);
    const exact = await VectorIndex.load(path);
    using index = await LanceIndex.open(path);
    expect([index.size, index.width, await index.built()]).toEqual([4050, width, false]);
    const near = async (query: Float32Array) => (await exact.search(query)).map(({ name }) => name);
    /** Near one of the pictures, as what is sought is. */
    const sought = (seed: number) => {
      const noise = random(width, seed + 1e6);
      return normal(unit(seed).map((value, d) => value + (0.5 * noise[d]) / Math.sqrt(width)));
    };
    const query = sought(70);
    const hits = await index.search(query);
    expect(hits.map(({ name }) => name)).toEqual(await near(query));
    expect(hits[0].score).toBeCloseTo((await exact.search(query))[0].score, 5);
    await index.build();
    expect(await index.built()).toBe(true);
    using again = await LanceIndex.open(path);
    let found = 0;
    for (let seed = 0; seed < 20; seed++) {
      const query = sought(100 * seed + 1);
      const names = new Set((await again.search(query)).map(({ name }) => name));
      for (const name of await near(query)) found += Number(names.has(name));
    }
    expect(found / 200).toBeGreaterThan(0.98);
    expect((await again.search(query, { kind: "text", most: 3 })).every(({ index }) => index >= 4000)).toBe(true);
    expect(await again.search(query, { most: 0 })).toEqual([]);
    await expect(again.search(new Float32Array(3))).rejects.toThrow(oneSentence);
  });

  it("are written, indexed and searched on the command line", async (context) => {
    await usePackages(context);
    const path = join(folder, "photos.lance");
    const pictures = ["two-cats.png", "plane.jpg"].map((name) => `weights/demo/examples/${name}`);
    const wasm = ["--backend", "wasm", "--model", "demo"];
    const embed = await siglip(["embed", ...pictures, "--text", "a plane", ...wasm, "--out", path]);
    expect(embed).toMatchObject({ code: 0 });
    const search = await siglip(["search", path, "a plane", "-k", "1", "--backend", "wasm", "--json"]);
    expect(JSON.parse(search.stdout)).toEqual([{ index: 1, score: expect.any(Number), name: pictures[1] }]);
    expect(await siglip(["embed", ...pictures, "--text", "a plane", ...wasm, "--out", path])).toMatchObject({
      code: 0,
    });
    expect((await siglip(["index", path])).stderr).toMatch(/wanted 256 embeddings of floats or more to index, found 3/);
    await siglip(["embed", ...pictures, ...wasm, "--vectors", "int8", "--out", join(folder, "small.lance")]);
    const small = await siglip(["search", join(folder, "small.lance"), "a plane", "-k", "1", "--backend", "wasm"]);
    expect(small.stdout).toContain("plane.jpg");
    const many = await siglip(["index", join(folder, "many.lance"), "--json"]);
    expect(JSON.parse(many.stdout)).toMatchObject({ embeddings: 4050 });
  });

  it("are written to an object store, indexed and searched there", async (context) => {
    await usePackages(context);
    await using bucket = await openBucket("photos");
    const [file, url] = [join(folder, "stored.safetensors"), "s3://photos/of/mine.lance"];
    const sources = ["weights/demo/eval", "weights/demo/eval/captions.jsonl"];
    const embed = await siglip(["embed", ...sources, "--model", "demo", "--backend", "wasm", "--out", file]);
    expect(embed).toMatchObject({ code: 0 });
    const env = { ...bucket.env, NODE_PATH: process.env.NODE_PATH! };
    const run = (...words: string[]) => siglip(words, { env });
    expect(await run("merge", file, "--out", url)).toMatchObject({
      code: 0,
      stderr: expect.not.stringContaining("WARN"),
    });
    expect([...bucket.objects.keys()].every((key) => key.startsWith("of/mine.lance/"))).toBe(true);
    const search = async (place: string) => {
      const ended = await run("search", place, "a plane", "-k", "3", "--backend", "wasm", "--json");
      expect(ended).toMatchObject({ code: 0, stderr: "" });
      return JSON.parse(ended.stdout).map(({ name, score }: { name: string; score: number }) => [
        name,
        score.toFixed(4),
      ]);
    };
    const near = await search(file);
    expect(await search(url)).toEqual(near);
    // Once more in its place, and with an index.
    expect(await run("merge", file, "--out", url)).toMatchObject({ code: 0 });
    expect(await run("index", url)).toMatchObject({ code: 0, stderr: expect.not.stringContaining("WARN") });
    expect(await search(url)).toEqual(near);
    failed(await run("search", "s3://photos/of/none.lance", "a plane"), /Not found: of\/none\.lance/);
    failed(
      await run("merge", file, "--out", "s3://other/mine.lance"),
      /wanted to write this LanceDB table, found that LanceDB cannot \(The specified bucket does not exist\); check/,
    );
  });

  it("are not waited for after an interrupt, where an object store says nothing", async (context) => {
    await usePackages(context);
    // Never answers; tells by each connection that it is waited for.
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const env = { ...bucketEnvironment(port), NODE_PATH: process.env.NODE_PATH! };
    const [file, url] = [join(folder, "few.npy"), "s3://photos/mine.lance"];
    await formatOf(file)!.write(file, make({ image: 3, text: 0 }));
    for (const words of [
      ["search", url, "a plane"],
      ["index", url],
      ["merge", file, "--out", url],
    ]) {
      const [program, ...before] = CLI;
      const child = spawn(program, [...before, ...words], { env: { ...process.env, ...env }, stdio: "ignore" });
      silent.once("connection", () => child.kill("SIGINT"));
      expect([words[0], ...(await once(child, "close"))]).toEqual([words[0], 130, null]);
      silent.removeAllListeners("connection");
    }
    silent.close();
  });
});
