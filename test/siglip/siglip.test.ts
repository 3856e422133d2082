import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { folderFiles } from "../../src/node/folder.ts";
import { Siglip, SiglipError } from "../../src/node.ts";
import { normalise } from "../../src/siglip/embeddings.ts";
import { onGpu, tallied } from "../harness/cases.ts";
import { aloneAsTogether, checkExamples, demo, example, examples, expectRetrieval } from "./demo.ts";

describe("the demo model", () => {
  tallied("gives the reference logits of all examples on the cpu", { backend: "cpu", precision: "f32" }, async () => {
    const model = await Siglip.load("demo", { backend: "cpu" });
    await checkExamples(model, examples);
    model.dispose();
  });

  onGpu("gives the reference logits of all examples on webgpu", { precision: "f32" }, async ({ device }) => {
    const model = await Siglip.load("demo", { backend: "webgpu", dtype: "f32", device });
    await checkExamples(model, examples);
    model.dispose();
  });

  // On the cpu in siglip.more.ts.
  tallied("retrieves as the reference does on wasm", { backend: "wasm", precision: "f32" }, async () => {
    const model = await Siglip.load("demo", { backend: "wasm", dtype: "f32" });
    await expectRetrieval(model);
    model.dispose();
  });

  onGpu("embeds a picture alone as in a batch", { precision: "f32" }, async ({ device }) => {
    const model = await Siglip.load("demo", { backend: "webgpu", dtype: "f32", device });
    await aloneAsTogether(model, 4, [0, 3]);
    model.dispose();
  });
});

describe("Siglip", async () => {
  const model = await Siglip.load("demo", { backend: "cpu" });
  const cats = example("two-cats.png");

  it("gives empty embeddings for empty lists", async () => {
    expect((await model.embedImages([])).shape).toEqual([0, model.dim]);
    expect((await model.embedTexts([])).shape).toEqual([0, model.dim]);
    expect(model.similarity(await model.embedImages([]), await model.embedTexts(["x"])).shape).toEqual([0, 1]);
  });

  it("ranks labels, each judged by itself, a repeated one too", async () => {
    const ranked = await model.classify(cats, ["a plane", "a cat", "a cat"], { templates: ["{label}"] });
    expect(ranked.map(({ label }) => label)).toEqual(["a cat", "a cat", "a plane"]);
    expect(ranked[0].probability).toBeGreaterThan(0.9);
    expect(ranked[1]).toEqual(ranked[0]);
  });

  it("averages templates and leaves $ in labels alone", async () => {
    const classifier = await model.classifier(["$& cat", "plane"], { templates: ["{label}", "a photo of a {label}"] });
    const ranked = await classifier.classify(cats);
    expect(ranked.map(({ label }) => label)).toEqual(["$& cat", "plane"]);
    const texts = await model.embedTexts(["$& cat", "a photo of a $& cat", "plane", "a photo of a plane"]);
    const row = (index: number) => texts.data.subarray(index * model.dim, (index + 1) * model.dim);
    for (const [index, { logit }] of ranked.entries()) {
      const sum = row(2 * index).map((value, d) => value + row(2 * index + 1)[d]);
      const length = Math.hypot(...sum);
      const mean = { data: sum.map((value) => value / length), shape: [1, model.dim] as const };
      expect(logit).toBeCloseTo(model.similarity(await model.embedImages([cats]), mean).logits[0], 4);
    }
  });

  it("has told of the batches before a picture that cannot be read, and tells nothing after", async () => {
    const told: number[] = [];
    const onProgress = (done: number) => void told.push(done);
    const bad = Uint8Array.of(1, 2, 3);
    await expect(model.embedImages([cats, bad], { batch: 1, onProgress })).rejects.toThrow(/wanted/);
    expect(told).toEqual([1]);
  });

  it("embeds the empty string and ten megabytes of text", async () => {
    const { data, shape } = await model.embedTexts(["", "cat ".repeat(2.5e6)]);
    expect(shape).toEqual([2, model.dim]);
    expect(data.every(Number.isFinite)).toBe(true);
  });

  it("serves overlapping calls, each its own result", async () => {
    const texts = ["a cat", "a plane", "pizza", "two dogs"];
    const alone = await model.embedTexts(texts);
    const [a, images, b] = await Promise.all([
      model.embedTexts(texts.slice(0, 2)),
      model.embedImages([cats]),
      model.embedTexts(texts.slice(2)),
    ]);
    expect([...a.data, ...b.data]).toEqual([...alone.data]);
    expect(images.data).toEqual((await model.embedImages([cats])).data);
  });

  it("takes paths, file URLs, bytes, blobs and pixels for the same picture", async () => {
    const bytes = new Uint8Array(readFileSync(cats));
    const { data } = await model.embedImages([cats.pathname, cats, cats.href, bytes, new Blob([bytes])]);
    for (let i = model.dim; i < data.length; i++) expect(data[i]).toBe(data[i % model.dim]);
  });

  const load = (options: object) => Siglip.load("demo", options);
  const bad: [string, () => Promise<unknown>, RegExp][] = [
    ["a picture that is not there", () => model.embedImages(["nowhere.png"]), /nowhere\.png.*no such file/],
    ["a directory", () => model.embedImages([demo]), /a folder/],
    ["a file that is no picture", () => model.embedImages([new URL("config.json", demo)]), /config\.json/],
    ["no bytes", () => model.embedImages([new Uint8Array()]), /the picture/],
    ["something else for a picture", () => model.embedImages([null as never]), /found null/],
    [
      "pixels of another size than they claim",
      () => model.embedImages([{ width: 9, height: 9, data: new Uint8Array(5) }]),
      /found 5/,
    ],
    ["a picture where a list is wanted", () => model.embedImages("cats.png" as never), /wanted a list/],
    ["a text that is no string", () => model.embedTexts([7 as never]), /string/],
    ["no labels", () => model.classify(cats, []), /at least one label/],
    ["a template without its label", () => model.classify(cats, ["a"], { templates: ["photo"] }), /\{label\}/],
    ["a batch of nothing", () => model.embedImages([cats], { batch: 0 }), /batch/],
    [
      "embeddings of another width",
      async () => model.similarity({ data: new Float32Array(3), shape: [1, 3] }, await model.embedTexts(["x"])),
      /\[n, 144\]/,
    ],
    [
      "pixel values that are not numbers",
      () => model.imageTower(new Float32Array(3 * 112 * 112).fill(Number.NaN)),
      /finite.*NaN/,
    ],
    ["pixel values of another size", () => model.imageTower(new Float32Array(100)), /found 100/],
    ["token ids outside the vocabulary", () => model.textTower(new Array(16).fill(1400)), /0 to 1399, found 1400/],
    ["token ids that are not padded", () => model.textTower([5, 1]), /\[n, 16\]/],
    ["a model that is not there", () => Siglip.load("./nowhere"), /nowhere.*found nothing/],
    ["a file where a folder is wanted", () => Siglip.load(cats), /found a file/],
    ["an empty name", () => Siglip.load(""), /Siglip\.load/],
    ["a folder without a model", () => Siglip.load(new URL("examples/", demo)), /config\.json/],
    ["a file URL of another host", () => model.embedImages([new URL("file://host/cats.png")]), /host/],
    ["a device instead of a file", () => model.embedImages(["/dev/zero"]), /regular file/],
    ["pixel values that are no Float32Array", () => model.imageTower([0, 1] as never), /Float32Array/],
    ["no token ids", () => model.textTower(undefined as never), /found undefined/],
    ["no embeddings", async () => model.similarity(undefined as never, await model.embedTexts(["x"])), /embeddings/],
    [
      "a template that is not in a list",
      () => model.classify(cats, ["a"], { templates: "{label}" as never }),
      /a list/,
    ],
    ["a tower that is not in a list", () => Siglip.load("demo", { towers: "image" as never }), /a list/],
    ["a model that is no name", () => Siglip.load(1n as never), /found 1/],
    [
      "the name of a backend as device",
      () => load({ device: "webgpu" }),
      /^device: .*found "webgpu"; say backend: "webgpu"/,
    ],
    ["an option of another library", () => load({ quantized: true }), /found "quantized"; say dtype/],
    ["an option in singular", () => load({ tower: ["image"] }), /found "tower"; say towers/],
    ["an option of another call", () => load({ templates: ["{label}"] }), /found "templates"; give it to classify/],
    ["an option that is none", () => load({ colour: 1 }), /found "colour"; choose among backend, cache, /],
    ["options that are none", () => Siglip.load("demo", "cpu" as never), /an object of options, found "cpu"/],
    [
      "a template beside templates",
      () => model.classify(cats, ["a"], { template: "{label}" } as never),
      /found "template"; say templates/,
    ],
    ["a batch size", () => model.embedTexts(["a"], { batchSize: 2 } as never), /found "batchSize"; say batch\./],
    ["new in place of load", async () => new (Siglip as never as { new (): Siglip })(), /call await Siglip\.load/],
    ["an unknown backend", () => Siglip.load("demo", { backend: "cuda" as never }), /"cuda"/],
    ["an unknown dtype", () => Siglip.load("demo", { dtype: "f8" as never }), /"f8"/],
    ["an unknown tower", () => Siglip.load("demo", { towers: ["audio" as never] }), /audio/],
  ];
  for (const [what, call, message] of bad) {
    it(`refuses ${what} in one sentence`, async () => {
      const error = await call().then(
        () => undefined,
        (reason) => reason,
      );
      expect(error).toBeInstanceOf(SiglipError);
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain("\n");
    });
  }

  it("loads one tower and says so when the other is wanted", async () => {
    const half = await Siglip.load("demo", { backend: "cpu", towers: ["image"] });
    expect((await half.embedImages([cats])).shape).toEqual([1, 144]);
    await expect(half.embedTexts(["a"])).rejects.toThrow(/load with towers: \["image", "text"\]/);
    half.dispose();
    const other = await Siglip.load("demo", { backend: "cpu", towers: ["text"] });
    await expect(other.embedImages([cats])).rejects.toThrow(/load with towers: \["image", "text"\]/);
    await expect(other.classify(cats, "a cat")).rejects.toThrow(/load with towers: \["image", "text"\]/);
    other.dispose();
  });

  it("takes one label without a list", async () => {
    const [{ label, probability }, ...others] = await model.classify(cats, "a cat", { templates: ["{label}"] });
    expect([label, others]).toEqual(["a cat", []]);
    expect(probability).toBeGreaterThan(0.5);
  });

  it("is disposed of where it goes out of scope", async () => {
    let left: Siglip;
    {
      using brief = await Siglip.load("demo", { backend: "cpu" });
      expect((await brief.embedTexts(["a"])).shape).toEqual([1, 144]);
      left = brief;
    }
    await expect(left.embedTexts(["a"])).rejects.toMatchObject({ name: "SiglipError" });
  });

  it("frees what it took when a load is aborted", async () => {
    const abort = new AbortController();
    const loading = Siglip.load("demo", { backend: "cpu", signal: abort.signal, onProgress: () => abort.abort() });
    await expect(loading).rejects.toThrow(/abort/i);
  });

  it("rejects after dispose, and calls that run when it comes", async () => {
    const brief = await Siglip.load("demo", { backend: "cpu" });
    const running = brief.embedImages([cats, cats, cats]);
    const reason = running.catch((error) => error);
    await new Promise((resolve) => setTimeout(resolve, 5));
    brief.dispose();
    brief.dispose();
    expect(await reason).toBeInstanceOf(SiglipError);
    await expect(brief.embedTexts(["a"])).rejects.toThrow(/disposed/);
  });

  it("refuses an embedding without a direction rather than give NaN", () => {
    expect(() => normalise(Float32Array.of(3, 4, 0, 0), 2)).toThrow(/embedding 1.*length 0/);
    expect(() => normalise(Float32Array.of(Number.NaN, 1), 2)).toThrow(SiglipError);
    expect(() => normalise(Float32Array.of(Number.POSITIVE_INFINITY, 1), 2)).toThrow(SiglipError);
  });

  it("gives named intermediates of both towers", async () => {
    const names: string[] = [];
    const { shape } = await model.imageTower(new Float32Array(2 * 3 * 112 * 112), {
      tap: (name, values) => names.push(`${name} ${values.shape}`),
    });
    expect(shape).toEqual([2, 144]);
    expect(names).toEqual([
      ...Array.from({ length: 6 }, (_, layer) => `hidden_states.${layer} 2,64,144`),
      "last_hidden_state 2,64,144",
    ]);
  });

  it("opens nothing outside its folder", async () => {
    const files = await folderFiles(demo.pathname);
    expect(await files.open("no-such-file")).toBeUndefined();
    await files.close();
  });
});
