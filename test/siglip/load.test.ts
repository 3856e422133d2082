import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { readHeader, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { networkFiles } from "../../src/network/network-files.ts";
import { findFiles } from "../../src/node/find.ts";
import { type NodeImage, nodePlatform } from "../../src/node/platform.ts";
import { hubDefaults } from "../../src/node/token.ts";
import { type LoadOptions, type LoadProgress, Siglip } from "../../src/node.ts";
import { loadModel } from "../../src/siglip/load.ts";
import { Siglip as SiglipModel } from "../../src/siglip/siglip.ts";
import { SiglipError } from "../../src/support/error.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { type Hub, serveHub } from "../harness/hub.ts";
import { bytesServed, type FileServer, serveFiles } from "../harness/server.ts";
import { jsonOf } from "../tokenizer/tokenizer-json.ts";

const names = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"] as const;
const demo = Object.fromEntries(
  names.map((name) => [name, new Uint8Array(readFileSync(new URL(`../../weights/demo/${name}`, import.meta.url)))]),
) as Record<(typeof names)[number], Uint8Array<ArrayBuffer>>;
const weights = demo["model.safetensors"];
const table = "text_model.embeddings.token_embedding.weight";

/** Two shards and their index, cut between the towers' tensors as they come. */
async function shards(): Promise<Record<string, Uint8Array>> {
  const source = bytesSource(weights);
  const { tensors } = await readHeader(source);
  const files: Record<string, Uint8Array> = {};
  const weightMap: Record<string, string> = {};
  const all = [...tensors.values()];
  for (const [part, infos] of [all.slice(0, 70), all.slice(70)].entries()) {
    const file = `model-0000${part + 1}-of-00002.safetensors`;
    const chunks: Uint8Array[] = [];
    const data = infos.map((info) => ({ ...info, data: weights.subarray(info.begin, info.end) }));
    for await (const chunk of writeSafetensors(data)) chunks.push(chunk);
    files[file] = Buffer.concat(chunks);
    for (const { name } of infos) weightMap[name] = file;
  }
  const { "model.safetensors": _, ...others } = demo;
  return {
    ...others,
    ...files,
    "model.safetensors.index.json": Buffer.from(JSON.stringify({ weight_map: weightMap })),
  };
}

/** What pages do, and Node beneath its cache: files are read from their servers and kept nowhere. */
class Uncached extends SiglipModel<NodeImage> {
  static async load(place: string, options: LoadOptions): Promise<Uncached> {
    const model = URL.canParse(place) ? new URL(place) : place;
    return new Uncached(await loadModel(networkFiles(model, options)!, nodePlatform, options));
  }
}

const folder = temporaryFolder();
afterAll(folder.remove);

let hub: Hub;
let server: FileServer;
let commit: string;
const under = (folder: string, files: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes]));
beforeAll(async () => {
  hub = await serveHub();
  commit = hub.publish("org/demo", demo);
  const { "model.safetensors": _, ...others } = demo;
  server = await serveFiles({
    ...under("demo", demo),
    ...under("shards", await shards()),
    ...under("other name", { ...others, "weights v2.safetensors": weights }),
  });
});
afterAll(async () => {
  await hub?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  server.behave();
  server.requests.length = hub.site.requests.length = hub.cdn.requests.length = 0;
  const home = mkdtempSync(join(folder.path, "home-"));
  vi.stubEnv("XDG_CACHE_HOME", home);
  for (const name of ["HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT"]) {
    vi.stubEnv(name, "");
  }
});
afterEach(() => vi.unstubAllEnvs());

const options: LoadOptions = { backend: "cpu", onWarning: () => {} };
const pixels = Float32Array.from({ length: 3 * 112 * 112 }, (_, i) => Math.sin(i));
async function embed(model: SiglipModel<NodeImage>): Promise<number[][]> {
  const { data } = await model.imageTower(pixels);
  return [[...data], [...(await model.embedTexts(["two cats"])).data]];
}
let wanted: number[][];
beforeAll(async () => {
  const model = await Siglip.load("demo", options);
  wanted = await embed(model);
  model.dispose();
});

describe("Siglip.load in Node", () => {
  const places: Record<string, () => [Parameters<typeof Siglip.load>[0], LoadOptions?]> = {
    "an id of the Hub": () => ["org/demo", { endpoint: hub.endpoint }],
    "an id with a revision": () => ["org/demo@main", { endpoint: `${hub.endpoint}/`, revision: "main" }],
    "a folder's URL": () => [`${server.url}demo`],
    "a folder's URL of shards": () => [new URL(`${server.url}shards/`)],
    "the URL of weights under another name": () => [`${server.url}other%20name/weights%20v2.safetensors?download=true`],
    "a list of Files": () => [names.map((name) => new File([demo[name]], name))],
    "a server that ignores ranges": () => {
      server.misbehave("", { ranges: false });
      return [`${server.url}demo`];
    },
  };
  for (const [name, place] of Object.entries(places)) {
    it(`takes ${name}, and gives what a folder gives`, async () => {
      const [model, more] = place();
      const loaded = await Siglip.load(model, { ...options, ...more });
      expect(await embed(loaded)).toEqual(wanted);
      loaded.dispose();
    });
  }
});

describe("a model on a server", () => {
  it("says which of several versions it is", async () => {
    for (const [model, version] of [
      ["org/demo", commit],
      [`${server.url}demo`, expect.any(String)],
      ["demo", undefined],
    ] as const) {
      const loaded = await Siglip.load(model, { ...options, endpoint: hub.endpoint, towers: ["image"] });
      expect(loaded.version).toEqual(version);
      loaded.dispose();
    }
  });

  it("fetches only the half that is asked for, and each file once", async () => {
    const { tensors } = await Checkpoint.open([bytesSource(weights)]);
    const image = [...tensors.values()].filter(({ name }) => name.startsWith("vision_model."));
    const half = image.reduce((sum, { begin, end }) => sum + end - begin, 0);
    const model = await Uncached.load(`${server.url}demo`, { ...options, towers: ["image"] });
    const small = demo["config.json"].length + demo["preprocessor_config.json"].length;
    console.log(`the demo's image tower: ${server.requests.length} requests, ${bytesServed(server)} bytes for ${half}`);
    // What comes with the weights' first answer beyond their header.
    expect(bytesServed(server)).toBeLessThanOrEqual(small + half + 2 ** 16);
    expect(server.requests.map(({ path }) => path).filter((path) => path.includes("model"))).toEqual(
      Array(server.requests.length - 2).fill("demo/model.safetensors"),
    );
    expect(server.requests.length).toBeLessThanOrEqual(5);
    model.dispose();
  });

  it("reads of the token table only the rows of a text", async () => {
    const model = await Uncached.load(`${server.url}demo`, { ...options, towers: ["text"] });
    const { tensors } = await Checkpoint.open([bytesSource(weights)]);
    const { begin, end, shape } = tensors.get(table)!;
    const before = server.requests.length;
    const ranges = (from: number) =>
      server.requests
        .slice(from)
        .filter(({ path }) => path.endsWith("model.safetensors"))
        .map(({ headers }) => /(\d+)-(\d+)/.exec(headers.range!)!.slice(1).map(Number));
    const touched = ranges(0).filter(([first, last]) => first < end && last >= begin);
    // The first answer reaches into it; besides that, none.
    expect(touched.every(([first]) => first === 0)).toBe(true);
    await model.embedTexts(["a photo of 2 cats"]);
    const rowBytes = (end - begin) / shape[0];
    for (const [first, last] of ranges(before))
      expect([(first - begin) % rowBytes, last - first + 1]).toEqual([0, rowBytes]);
    expect(server.requests.length - before).toBeGreaterThan(0);
    expect(bytesServed(server, before)).toBeLessThanOrEqual(16 * rowBytes);
    model.dispose();
  });

  it("reads tokenizer.json where there is no other, and of all files no more than it needs", async () => {
    const spiece = jsonOf(demo["spiece.model"]);
    const bytes = (json: unknown) => Buffer.from(JSON.stringify(json));
    const { "spiece.model": _, ...others } = demo;
    const json = { "tokenizer.json": bytes(spiece), "tokenizer_config.json": bytes({}) };
    for (const [path, content] of Object.entries({
      ...under("json", { ...others, ...json }),
      ...under("both", { ...demo, ...json }),
    })) {
      server.files.set(path, { content });
    }
    const paths = () => server.requests.splice(0).map(({ path }) => path.replace(/.*\//, ""));
    for (const [folder, tokenizers] of [
      ["json", ["spiece.model", "tokenizer.model", "tokenizer.json"]],
      ["both", ["spiece.model"]],
    ] as const) {
      const model = await Uncached.load(`${server.url}${folder}`, options);
      expect([...new Set(paths().filter((path) => /spiece|tokenizer/.test(path)))]).toEqual(tokenizers);
      expect(await embed(model)).toEqual(wanted);
      model.dispose();
    }
    const image = await Uncached.load(`${server.url}json`, { ...options, towers: ["image"] });
    expect(paths().filter((path) => /spiece|tokenizer/.test(path))).toEqual([]);
    image.dispose();
  });

  it("tells of its progress by phase, up to all of it, with a rate", async () => {
    const told: LoadProgress[] = [];
    const model = await Uncached.load(`${server.url}demo`, {
      ...options,
      onProgress: (progress) => told.push(progress),
    });
    model.dispose();
    const of = (phase: string) => told.filter((progress) => progress.phase === phase);
    expect(of("download").at(-1)).toMatchObject({
      file: `${server.url}demo/spiece.model`,
      loaded: 261_396,
      total: 261_396,
    });
    const last = of("weights").at(-1)!;
    expect(last).toMatchObject({ file: `${server.url}demo/`, loaded: last.total });
    for (const phase of ["download", "weights"]) {
      const loaded = of(phase).map((progress) => progress.loaded);
      expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
      for (const { bytesPerSecond } of of(phase))
        expect(bytesPerSecond >= 0 && Number.isFinite(bytesPerSecond)).toBe(true);
    }
    expect(last.bytesPerSecond).toBeGreaterThan(0);
  });

  for (const file of names) {
    it(`ends with the signal's reason while it waits for ${file}`, async () => {
      const reason = new Error("enough");
      for (const stall of file === "model.safetensors" ? [0, 100_000] : [0]) {
        const abort = new AbortController();
        server.misbehave(file, { stall });
        const loading = Uncached.load(`${server.url}demo`, { ...options, signal: abort.signal });
        setTimeout(() => abort.abort(reason), 300);
        await expect(loading).rejects.toBe(reason);
      }
    });
  }

  it("refuses in one sentence what the server lacks, forbids and damages", async () => {
    const load = async (place: string, more?: LoadOptions) => {
      const error = await Uncached.load(place, { ...options, ...more }).catch((error) => error);
      expect(error).toBeInstanceOf(SiglipError);
      return error.message;
    };
    expect(await load(`${server.url}nothing/`)).toMatch(/wanted config.json, found none/);
    expect(await load("org/none", { endpoint: hub.endpoint })).toMatch(/RepoNotFound/);
    server.misbehave("model.safetensors", { entry: { content: "", status: 404 } });
    expect(await load(`${server.url}demo`)).toMatch(/wanted model.safetensors or .* found neither/);
    server.misbehave("model.safetensors", { length: 4 });
    expect(await load(`${server.url}demo`)).toMatch(/^[^\n]*wanted [^\n]*\.$/);
  });

  it("refuses a large file whose server ignores ranges, unless there is a place for it", async () => {
    const large = 2 ** 24 + 1;
    const zeros = { name: "large", size: large, read: async (_: number, length: number) => new Uint8Array(length) };
    server.files.set("large/model.safetensors", { content: zeros });
    server.misbehave("large", { ranges: false });
    const place = new URL(`${server.url}large/`);
    await expect(networkFiles(place)!.open("model.safetensors")).rejects.toThrow(
      /that ignores Range requests; host it/,
    );
    expect(bytesServed(server)).toBeLessThan(2 ** 23);
    const told: LoadProgress[] = [];
    let closed = 0;
    const spooling = networkFiles(
      place,
      { onProgress: (progress) => told.push(progress) },
      {
        async spool(file, signal) {
          let length = 0;
          for await (const bytes of file.stream(0, file.size, signal)) length += bytes.length;
          return { ...bytesSource(new Uint8Array(length), file.name), close: async () => void closed++ };
        },
      },
    )!;
    expect((await spooling.open("model.safetensors"))!.size).toBe(large);
    expect(told.at(-1)).toMatchObject({ phase: "download", loaded: large, total: large });
    await spooling.close();
    expect(closed).toBe(1);
  });
});

describe("what names a model in Node", () => {
  const env = { HF_HOME: folder.path };

  it("is a folder where there is one, and a Hub's id else", async () => {
    const previous = process.cwd();
    for (const name of ["org/here", "org/empty"]) mkdirSync(`${folder.path}/${name}`, { recursive: true });
    writeFileSync(`${folder.path}/org/here/config.json`, "{}");
    process.chdir(folder.path);
    try {
      expect((await findFiles("org/here")).name).toBe("org/here");
      expect((await (await findFiles("org/here")).open("config.json"))?.size).toBe(2);
      const name = async (model: string) => (await findFiles(model)).name;
      expect(await name("org/empty@v2")).toBe("org/empty@v2");
      expect(await name("http://127.0.0.1:9/x/weights.safetensors")).toBe("http://127.0.0.1:9/x/weights.safetensors");
      expect(await (await findFiles("./org/empty")).open("config.json")).toBeUndefined();
      for (const wrong of ["./org/none", "/none", "C:\\none", "none", "a/b/c", ""]) {
        await expect(findFiles(wrong), wrong).rejects.toThrow(SiglipError);
      }
      for (const wrong of [7, null, undefined, {}]) {
        await expect(findFiles(wrong as string), String(wrong)).rejects.toThrow(SiglipError);
      }
    } finally {
      process.chdir(previous);
    }
  });

  it("comes with the endpoint and the token that Hugging Face's tools take", async () => {
    expect(await hubDefaults(env)).toEqual({ endpoint: undefined, token: undefined });
    writeFileSync(`${folder.path}/token`, "kept\n");
    expect(await hubDefaults(env)).toEqual({ endpoint: undefined, token: "kept" });
    expect(await hubDefaults({ ...env, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).toEqual({ endpoint: undefined });
    expect(await hubDefaults({ ...env, HF_TOKEN: " said ", HF_ENDPOINT: "http://mirror" })).toEqual({
      endpoint: "http://mirror",
      token: "said",
    });
    writeFileSync(`${folder.path}/other`, "elsewhere");
    expect((await hubDefaults({ ...env, HF_TOKEN_PATH: `${folder.path}/other` })).token).toBe("elsewhere");
  });

  it("finds the Hub that HF_ENDPOINT names", async () => {
    vi.stubEnv("HF_ENDPOINT", hub.endpoint);
    vi.stubEnv("HF_TOKEN", "secret");
    expect(await (await findFiles("org/demo")).open("config.json")).toBeDefined();
    const sent = () => new Set(hub.site.requests.map(({ headers }) => headers.authorization));
    expect(sent()).toEqual(new Set(["Bearer secret"]));
    hub.site.requests.length = 0;
    expect(await (await findFiles("org/demo", { token: "mine" })).open("preprocessor_config.json")).toBeDefined();
    expect(sent()).toEqual(new Set(["Bearer mine"]));
  });
});
