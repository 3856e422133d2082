import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PNG } from "pngjs";
import { afterAll, describe, expect, it } from "vitest";
import { asTyped, readHeader, readTensor } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { onGpu, tallied } from "../harness/cases.ts";
import { failed, refused, siglip, temporaryFolder } from "../harness/cli.ts";
import { demoJson, variant } from "../siglip/variants.ts";

const demo = "weights/demo/examples";
const { examples } = JSON.parse(
  readFileSync(fileURLToPath(new URL(`../../${demo}/examples.json`, import.meta.url)), "utf8"),
);
const cats = examples.find((entry: { file: string }) => entry.file === "two-cats.png");
const plane = examples.find((entry: { file: string }) => entry.file === "plane.jpg");
const cpu = ["--backend", "cpu"];
const counted = { backend: "cpu", precision: "f32" };

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);

/** The cosine of a row with the reference's tower output. */
function cosine(row: ArrayLike<number>, reference: readonly number[]): number {
  const norm = Math.hypot(...reference);
  return reference.reduce((sum, value, index) => sum + (value / norm) * row[index], 0);
}

describe("siglip demo", () => {
  tallied("shows tables and says what they were made on", counted, async () => {
    const { code, stdout } = await siglip(["demo"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^model +demo/);
    // Which one it is depends on the machine.
    const places = String.raw`webgpu, f16 weights \(.+\)|wasm, f16 weights \(\d+ threads?, simd.*\)|cpu, f32 weights \(.+\)`;
    expect(stdout).toMatch(new RegExp(`backend +(${places})\n`));
    expect(stdout).toMatch(/two-cats\.png\n {2}█+.? +90\.[789] % {2}2 cats\n/);
    expect(stdout).toMatch(/three-birds\.png\n {2}█+.? +98\.\d % {2}3 birds\n/);
    expect(stdout).toMatch(/Loaded in \d.* s, classified in \d.* s\. Try/);
    expect(stdout).not.toContain("\x1b");
    // With the prompt below it, the smallest usual terminal.
    expect(stdout.trimEnd().split("\n").length).toBeLessThan(24);
  });
});

describe("siglip classify", () => {
  tallied("--heatmap writes the picture with heat where the most probable label is", counted, async () => {
    const [picture, out] = [`${demo}/dog-and-banana.jpg`, at("where.png")];
    const words = ["--labels", "a banana", "a plane", ...cpu];
    const { code, stdout } = await siglip(["classify", picture, ...words, "--heatmap", out]);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("a banana") });
    const [warm, plain] = [PNG.sync.read(readFileSync(out)), await nodePlatform.decode(picture)];
    expect([warm.width, warm.height]).toEqual([plain.width, plain.height]);
    // The banana lies on the right, the dog on the left.
    const changed = [0, 0];
    for (let i = 0; i < plain.data.length; i++) {
      const side = Math.floor(i / 3) % plain.width < plain.width / 2 ? 0 : 1;
      changed[side] += Math.abs(warm.data[4 * Math.floor(i / 3) + (i % 3)] - plain.data[i]);
    }
    expect(changed[1]).toBeGreaterThan(5 * changed[0]);
    refused(
      await siglip(["classify", picture, picture, ...words, "--heatmap", out, "--model", at("nowhere")]),
      /wanted one picture and --labels/,
    );
  });

  const wanted = ["--labels", ...cats.labels, "--template", "{label}"];

  tallied("prints JSON with the reference's logits", counted, async () => {
    const images = [cats, plane].map(({ file }) => `${demo}/${file}`);
    const { code, stdout, stderr } = await siglip(["classify", ...images, ...wanted, ...cpu, "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const results = JSON.parse(stdout);
    expect(results.map(({ image }: { image: string }) => image)).toEqual(images);
    const { labels } = results[0];
    expect(labels.map((row: { label: string }) => row.label)).toEqual(
      [...cats.labels].sort((a, b) => cats.logits[cats.labels.indexOf(b)] - cats.logits[cats.labels.indexOf(a)]),
    );
    for (const { label, probability, logit } of labels) {
      // What the demo model's golden logits promise end to end.
      expect(Math.abs(logit - cats.logits[cats.labels.indexOf(label)])).toBeLessThan(0.01);
      expect(probability).toBeCloseTo(1 / (1 + Math.exp(-logit)), 6);
    }
  });

  it("takes labels first, or last", async () => {
    const pictures = [`${demo}/plane.jpg`, `${demo}/two-cats.png`];
    const orders = [
      [...pictures, "--labels", "a plane", "2 cats"],
      ["--labels", "a plane", "2 cats", ...pictures],
      ["--labels", "a plane", "2 cats", "--", ...pictures],
    ];
    const ends = await Promise.all(orders.map((words) => siglip(["classify", "--json", ...cpu, ...words])));
    for (const { code, stdout } of ends) {
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toEqual(JSON.parse(ends[0].stdout));
    }
    expect(JSON.parse(ends[1].stdout).map(({ image }: { image: string }) => image)).toEqual(pictures);
  });

  tallied("prints tables that odd labels do not break", counted, async () => {
    const labels = ["a plane", "a plane", "", "ラベル\n\x1b[31m", "x".repeat(300)];
    const { code, stdout } = await siglip(["classify", `${demo}/plane.jpg`, "--labels", ...labels, ...cpu]);
    expect(code).toBe(0);
    const [title, ...rows] = stdout.trimEnd().split("\n");
    expect(title).toBe(`${demo}/plane.jpg`);
    expect(rows).toHaveLength(labels.length);
    expect(rows.slice(0, 2).map((row) => row.slice(-16))).toEqual(
      ["98.1 %  a plane", "98.1 %  a plane"].map((s) => ` ${s}`),
    );
    const shown = rows.map((row) => row.replace(/^.* % {2}/, ""));
    expect(shown).toEqual(
      expect.arrayContaining(["a plane", '""', String.raw`ラベル\u000a\u001b[31m`, "x".repeat(300)]),
    );
  });
});

describe("siglip embed", () => {
  const images = [cats, plane].map(({ file }) => `${demo}/${file}`);

  tallied("writes pictures and texts as safetensors and as lines, the same numbers", counted, async () => {
    const texts = ["first", "2 cats", "", "a plane"];
    const input = "\ufeff2 cats\r\n\r\na plane\r\n";
    const args = ["embed", ...images, "--text", "first", "--texts", "-", ...cpu, "--json", "--out"];
    const ends = await Promise.all(["a.safetensors", "a.jsonl"].map((name) => siglip([...args, at(name)], { input })));
    for (const { code, stdout, stderr } of ends) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(JSON.parse(stdout)).toMatchObject({
        model: "demo",
        backend: "cpu",
        dtype: "f32",
        dim: 144,
        images: 2,
        texts: 4,
      });
    }

    const source = bytesSource(readFileSync(at("a.safetensors")));
    const { tensors, metadata } = await readHeader(source);
    expect(Object.fromEntries(metadata)).toMatchObject({
      images: JSON.stringify(images),
      texts: JSON.stringify(texts),
    });
    expect(JSON.parse(metadata.get("origin")!)).toMatchObject({ model: "demo", dtype: "f32", version: "1" });
    expect([...tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
      ["image_embeds", "F32", [2, 144]],
      ["text_embeds", "F32", [4, 144]],
    ]);
    const rows: [string, string, Float32Array][] = [];
    for (const [kind, names] of [
      ["image", images],
      ["text", texts],
    ] as const) {
      const info = tensors.get(`${kind}_embeds`)!;
      const data = asTyped(await readTensor(source, info), "F32");
      for (const [i, name] of names.entries()) rows.push([kind, name, data.slice(i * 144, (i + 1) * 144)]);
    }
    // The rounding of float32 in a forward pass is 1e-6 at most, and the cosine hides its square.
    expect(cosine(rows[0][2], cats.image_pooled)).toBeGreaterThan(1 - 1e-6);
    expect(cosine(rows[1][2], plane.image_pooled)).toBeGreaterThan(1 - 1e-6);
    expect(cosine(rows[3][2], cats.text_pooled[0])).toBeGreaterThan(1 - 1e-6);

    const lines = readFileSync(at("a.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ kind, name }) => [kind, name])).toEqual(rows.map(([kind, name]) => [kind, name]));
    for (const [i, { embedding }] of lines.entries()) expect(Float32Array.from(embedding)).toEqual(rows[i][2]);
  });

  tallied("writes one kind as .npy with the names beside it", counted, async () => {
    writeFileSync(at("b.npy"), "old");
    const { code, stdout } = await siglip(["embed", ...images, ...cpu, "--out", at("b.npy"), "--overwrite"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/b\.npy: 2 images, 144 values each, in \d.* s on cpu with f32 weights\.\n$/);
    const bytes = readFileSync(at("b.npy"));
    expect(bytes.toString("latin1", 0, 8)).toBe("\x93NUMPY\x01\0");
    const start = 10 + bytes.readUInt16LE(8);
    expect(start % 64).toBe(0);
    expect(bytes.toString("latin1", 10, start)).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(2, 144\), \} *\n$/,
    );
    expect(bytes.length).toBe(start + 4 * 2 * 144);
    const second = new Float32Array(new Uint8Array(bytes.subarray(start + 4 * 144)).buffer);
    expect(cosine(second, plane.image_pooled)).toBeGreaterThan(1 - 1e-6);
    expect(JSON.parse(readFileSync(at("b.names.json"), "utf8"))).toMatchObject({ kind: "image", names: images });
  });

  tallied("has a bad picture cost the others nothing, and what it writes is searched", counted, async () => {
    const out = at("folder.safetensors");
    const made = await siglip(["embed", images[0], "nowhere.png", images[1], ...cpu, "--out", out]);
    expect(made.code).toBe(1);
    expect(made.stdout).toMatch(/folder\.safetensors: 2 images, /);
    expect(made.stderr).toMatch(
      /^siglip: nowhere\.png: wanted .*no such file.*\nsiglip: .*wanted embeddings of all 3, /,
    );
    const found = await siglip(["search", out, "a plane", "--not", "2 cats", "-k", "1", ...cpu, "--json"]);
    expect({ code: found.code, stderr: found.stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(found.stdout)).toEqual([{ index: 1, score: expect.any(Number), name: images[1] }]);
    const like = siglip(["search", out, "--image", images[0], "-k", "1", ...cpu]);
    const nothing = siglip(["search", out, "a plane", "--not", "a plane", ...cpu]);
    expect((await like).stdout).toBe(`1.000  ${images[0]}\n`);
    expect((await nothing).stderr).toMatch(/^siglip: --not: wanted less than all that is sought, found all of it; /);
  });

  onGpu("runs on WebGPU and ends by itself", { precision: "f32" }, async () => {
    const args = [
      "embed",
      "--text",
      "2 cats",
      "--backend",
      "webgpu",
      "--dtype",
      "f32",
      "--out",
      at("gpu.jsonl"),
      "--json",
    ];
    const { code, stdout } = await siglip(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      backend: "webgpu",
      dtype: "f32",
      adapter: expect.any(String),
      texts: 1,
    });
    const { embedding } = JSON.parse(readFileSync(at("gpu.jsonl"), "utf8"));
    // The webgpu backend's own bound is 1e-5 of the norm, and the cosine hides its square.
    expect(cosine(embedding, cats.text_pooled[0])).toBeGreaterThan(1 - 1e-6);
  });
});

describe("an image classifier", () => {
  it("is what a model is not that lacks labels, which is told before its weights are read", async () => {
    mkdirSync(at("unlabelled"));
    writeFileSync(at("unlabelled/config.json"), JSON.stringify(demoJson("config.json")));
    refused(
      await siglip(["classify", `${demo}/plane.jpg`, "--model", at("unlabelled")]),
      /wanted --labels, found none/,
    );
  });

  const id2label = { 0: "a drawing", 1: "a photo" };
  const config = { ...demoJson("config.json"), architectures: ["SiglipForImageClassification"], id2label };
  const classifier = (more: object) =>
    variant({
      config: { ...config, ...more },
      tensor: (name) => (name.startsWith("vision_model.") ? { name } : undefined),
      more: [
        { name: "classifier.weight", dtype: "F32", shape: [2, 144], data: new Uint8Array(8 * 144) },
        { name: "classifier.bias", dtype: "F32", shape: [2], data: new Uint8Array(new Float32Array([0, 2]).buffer) },
      ],
    });

  it("gives its own labels without --labels, and says that it is one", async () => {
    mkdirSync(at("classifier"));
    for (const file of await classifier({})) {
      writeFileSync(at(`classifier/${file.name}`), new Uint8Array(await file.arrayBuffer()));
    }
    const model = ["--model", at("classifier"), ...cpu];
    const [json, info, named] = await Promise.all([
      siglip(["classify", `${demo}/plane.jpg`, ...model, "--json"]),
      siglip(["info", at("classifier")]),
      siglip(["classify", `${demo}/plane.jpg`, "--labels", "a cat", ...model]),
    ]);
    expect([json.code, json.stderr]).toEqual([0, ""]);
    const [{ image, labels }] = JSON.parse(json.stdout);
    expect([image, labels.map(({ label }: { label: string }) => label)]).toEqual([
      `${demo}/plane.jpg`,
      ["a photo", "a drawing"],
    ]);
    expect(labels[0]).toMatchObject({ logit: 2, probability: expect.closeTo(1 / (1 + Math.exp(-2)), 12) });
    expect(info.stdout).toMatch(/\n +image\n/);
    expect(info.stdout).toMatch(/\nembedding +none, .*\nlabels +2: a drawing, a photo\n/s);
    failed(named, /towers: wanted the image tower, the only one of/);
  });
});

describe("siglip info", () => {
  it("describes a model by its headers, and the adapter", async () => {
    const [json, table, device] = await Promise.all([
      siglip(["info", "demo", "--json"]),
      siglip(["info", "demo"]),
      siglip(["info", "--device", "--json"]),
    ]);
    expect([json.code, table.code, device.code]).toEqual([0, 0, 0]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      model: "demo",
      config: { vision: { hidden: 144, imageSize: 112 }, text: { positions: 16 } },
      weights: { image: { dtypes: { F16: 1529040 } }, text: { parameters: 942504 }, total: { parameters: 2471546 } },
      tokenizer: { algorithm: "unigram", pieces: 1400 },
      files: ["config.json", "preprocessor_config.json", "model.safetensors", "spiece.model"].map((name) => ({ name })),
    });
    expect(table.stdout).toMatch(/^demo\n +image +text\nparameters +1,529,040 +942,504\n/);
    expect(table.stdout).toMatch(/\ntokenizer +unigram, 1,400 pieces\n/);
    const { adapter, wasm } = JSON.parse(device.stdout);
    expect(wasm).toMatchObject({ engine: expect.stringMatching(/^\d+ threads?, simd/), forms: expect.any(Object) });
    if (adapter) expect(adapter).toMatchObject({ software: expect.any(Boolean), features: expect.any(Array) });
    else expect(adapter).toBeNull();
  });

  it("lists the published checkpoints", async () => {
    const [json, table] = await Promise.all([siglip(["info", "--list", "--json"]), siglip(["info", "--list"])]);
    expect([json.code, table.code]).toEqual([0, 0]);
    expect(JSON.parse(json.stdout)).toEqual(JSON.parse(readFileSync("weights/manifest.json", "utf8")));
    const line =
      /\ngoogle\/siglip-so400m-patch14-384 +428\.2 M \+ +412\.9 M \+ +36\.9 M +3\.51 GB .* 83\.1 +54\.2 +72\.4 +\[1\]\n/;
    expect(table.stdout).toMatch(line);
    expect(table.stdout).toMatch(/\n\[1\] .*\nhttps:\/\/github\.com\/mlfoundations\/open_clip\//);
  });

  it("describes a model without a tokenizer", async () => {
    mkdirSync(at("image-only"));
    for (const name of ["config.json", "model.safetensors"]) {
      writeFileSync(at(`image-only/${name}`), readFileSync(`weights/demo/${name}`));
    }
    const { code, stdout } = await siglip(["info", at("image-only")]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\ntokenizer +none\n/);
  });
});
