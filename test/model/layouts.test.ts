import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { anyLayout } from "../../src/files/any-layout.ts";
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { parseConfig, type SiglipConfig } from "../../src/model/config.ts";
import { loadTowers } from "../../src/model/towers.ts";
import { keptUrlFiles } from "../../src/node/cache/url-files.ts";
import { SiglipError } from "../../src/support/error.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import { openGolden } from "../harness/golden.ts";
import { filesOf, safetensors } from "../harness/layouts.ts";
import { writeNpz } from "../harness/npz.ts";
import { serveFiles } from "../harness/server.ts";
import { asBigVision, asOpenClip, bytesOf, syntheticTensors, type Tensors } from "../judge/layouts.ts";

const folder = new URL("../golden/layouts-base/", import.meta.url);
const json = (file: string) => JSON.parse(readFileSync(new URL(file, folder), "utf8"));
const base = parseConfig(json("config.json"));
const tensors = syntheticTensors(base);

/** A model small enough to be read in every way: 2 layers, heads of 8 features. */
const small = {
  ...base,
  vision: { ...base.vision, hidden: 24, heads: 3, mlp: 20, imageSize: 20, patchSize: 4, tokens: 25 },
  text: { ...base.text, hidden: 16, heads: 2, mlp: 10, vocabulary: 9, positions: 5, projection: 24 },
  image: { ...base.image, size: [20, 20] },
} satisfies SiglipConfig;
const smallTensors = syntheticTensors(small);

const openClip = json("open_clip_config.json");

async function expectTensors(checkpoint: Checkpoint, expected: Tensors): Promise<void> {
  expect([...checkpoint.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { shape, data }] of expected) {
    expect(checkpoint.info(name).shape).toEqual(shape);
    expect(Buffer.compare(bytesOf(await checkpoint.read(name)), bytesOf(data)), name).toBe(0);
  }
}

describe("the writers of other layouts", () => {
  it.each([
    ["open_clip", () => asOpenClip(tensors)],
    ["big_vision", () => asBigVision(tensors, base, false)],
    ["big_vision-stacked", () => asBigVision(tensors, base, true)],
  ])("make what %s.json lists", (name, make) => {
    const expected = json(`${name}.json`);
    const found = [...make()].map(([name, { shape, data }]) => {
      return { name, shape, sha256: createHash("sha256").update(bytesOf(data)).digest("hex") };
    });
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    expect(found.sort(byName)).toEqual(expected.sort(byName));
  });
});

const SMALL_CLIP = {
  model_cfg: {
    vision_cfg: { timm_model_name: "vit_tiny_patch4_siglip_20" },
    text_cfg: { heads: 2, pool_type: "last", no_causal_mask: true, norm_kwargs: { eps: 1e-6 } },
  },
  preprocess_cfg: { interpolation: "bilinear", resize_mode: "squash" },
};

/** Files of the small model as open_clip has them, and its configuration changed by `more`. */
async function smallClip(more: object = {}, rename = (name: string) => name, file = "open_clip_model.safetensors") {
  const vision = { ...small.vision, hidden: 16, heads: 2, imageSize: 20 };
  const config = { ...small, vision, text: { ...small.text, projection: 16 } };
  const tensors = syntheticTensors(config);
  const renamed = new Map([...asOpenClip(tensors)].map(([name, values]) => [rename(name), values]));
  const json = structuredClone(SMALL_CLIP);
  for (const [path, value] of Object.entries(more)) {
    const keys = path.split(".");
    const last = keys.pop()!;
    const at = keys.reduce((object: Record<string, unknown>, key) => object[key] as Record<string, unknown>, json);
    at[last] = value;
  }
  // Lists in lists, more than a call of each can be on the stack.
  const text = JSON.stringify(json).replace('"<deep>"', "[".repeat(20_000) + "]".repeat(20_000));
  const contents = { "open_clip_config.json": Buffer.from(text), [file]: await safetensors(renamed) };
  return { config, tensors, contents, ...filesOf(contents) };
}

describe("an open_clip folder", () => {
  it("gives Hugging Face's tensors and configuration", async () => {
    const { files, read } = filesOf({
      "open_clip_config.json": Buffer.from(JSON.stringify(openClip)),
      "open_clip_model.safetensors": await safetensors(asOpenClip(tensors)),
    });
    expect(await readConfig(files)).toEqual({ ...base, text: { ...base.text, dialect: "open_clip" } });
    const config = await files.open("config.json");
    expect(config?.from).toEqual({ name: "open_clip_config.json", size: expect.any(Number) });
    const checkpoint = await openCheckpoint(files);
    expect(read["open_clip_model.safetensors"]).toBeLessThan(20_000);
    await expectTensors(checkpoint, tensors);
  });

  it("may have names behind wrappers' and a file of another name; what nobody knows keeps its name", async () => {
    const wrap = (name: string) => (name === "logit_scale" ? name : `module._orig_mod.${name}`);
    const { files, config, tensors } = await smallClip({}, wrap, "model.safetensors");
    const image = { ...config.image, resample: "bilinear" };
    expect(await readConfig(files)).toEqual({ ...config, image });
    await expectTensors(await openCheckpoint(files), tensors);
  });

  it("may have the config.json of a wrapper around it beside its own", async () => {
    const wrapper = Buffer.from(JSON.stringify({ model_type: "siglip", open_clip_model_name: "hf-hub:a/b" }));
    const { contents, config } = await smallClip({}, (name) => `model.${name}`);
    const { files } = filesOf({ ...contents, "config.json": wrapper });
    expect((await readConfig(files)).vision).toEqual(config.vision);
    // Without open_clip's own it is Hugging Face's.
    const { files: plain } = filesOf({ "config.json": wrapper });
    expect((await readConfig(plain, () => {})).vision.imageSize).toBe(224);
  });

  it("says its picture's size, or the shapes and the name do", async () => {
    const size = async (more: object) => (await readConfig((await smallClip(more)).files)).vision.imageSize;
    expect(await size({ "model_cfg.vision_cfg.image_size": 22 })).toBe(22);
    expect(await size({ "model_cfg.vision_cfg.timm_model_name": "vit_so400m_patch4_siglip_23" })).toBe(23);
    expect(await size({ "model_cfg.vision_cfg.timm_model_name": "vit_so400m_patch4_siglip" })).toBe(20);
    // More numbers than a call takes arguments.
    expect(await size({ "model_cfg.vision_cfg.timm_model_name": `siglip ${"23 ".repeat(200_000)}` })).toBe(23);
  });

  it.each([
    [
      "model_cfg.vision_cfg.timm_model_name",
      "resnet50",
      /timm_model_name to be a SigLIP tower of timm's, found "resnet50"/,
    ],
    [
      "model_cfg.vision_cfg.timm_model_name",
      "<deep>",
      /timm_model_name to be a SigLIP tower of timm's, found an array/,
    ],
    ["model_cfg.vision_cfg.image_size", "<deep>", /an image_size of 5 patches of 4, found an array/],
    ["model_cfg.vision_cfg.timm_pool", "avg", /timm_pool to be "map", found "avg"/],
    ["model_cfg.vision_cfg.image_size", 224, /an image_size of 5 patches of 4, found 224/],
    ["model_cfg.text_cfg.pool_type", "argmax", /pool_type to be "last", found "argmax"/],
    ["model_cfg.text_cfg.no_causal_mask", false, /no_causal_mask to be true, found false/],
    ["model_cfg.text_cfg.heads", 3, /num_attention_heads to be a divisor of hidden_size 16, found 3/],
    ["model_cfg.text_cfg.no_causal_mask", null, /no_causal_mask to be true, found none/],
    ["model_cfg.text_cfg.heads", null, /a width of .* whose heads are known, found 16/],
    ["model_cfg.text_cfg", null, /text_cfg: wanted pool_type to be "last", found none/],
    ["preprocess_cfg.resize_mode", "shortest", /resize_mode to be "squash", found "shortest"/],
    ["preprocess_cfg.mean", [1, 2], /image_mean to be three numbers/],
  ])("whose %s is %j is refused by name", async (path, value, message) => {
    const { files } = await smallClip({ [path]: value });
    await expect(readConfig(files)).rejects.toThrow(message);
  });

  it("without weights, or with others than SigLIP's, is refused", async () => {
    const config = { "open_clip_config.json": Buffer.from(JSON.stringify(SMALL_CLIP)) };
    await expect(readConfig(filesOf(config).files)).rejects.toThrow(
      /open_clip_model.safetensors or model.safetensors, found neither/,
    );
    const others = await safetensors(new Map([["visual.conv1.weight", { shape: [1], data: new Float32Array(1) }]]));
    await expect(readConfig(filesOf({ ...config, "model.safetensors": others }).files)).rejects.toThrow(
      /what Hugging Face calls vision_model.embeddings.patch_embedding.weight, of 4 axes, found none/,
    );
  });
});

it("models of other layouts are read from a server, and without it once they are kept", async () => {
  const home = mkdtempSync(join(tmpdir(), "siglip-layouts-"));
  vi.stubEnv("XDG_CACHE_HOME", home);
  const { contents, tensors } = await smallClip();
  const server = await serveFiles({
    "v/x.npz": writeNpz(asBigVision(smallTensors, small, true), { deflated: true }),
    ...Object.fromEntries(Object.entries(contents).map(([name, bytes]) => [`c/${name}`, bytes])),
  });
  try {
    for (let i = 0; i < 2; i++) {
      for (const [place, expected] of [
        ["v/x.npz", smallTensors],
        ["c", tensors],
      ] as const) {
        const files = anyLayout(keptUrlFiles(new URL(place, server.url), { pause: 1 }));
        expect((await readConfig(files, () => {})).vision.imageSize).toBe(20);
        await expectTensors(await openCheckpoint(files), expected);
        await files.close();
      }
      server.misbehave("", { cut: 0 });
    }
  } finally {
    await server[Symbol.asyncDispose]();
    vi.unstubAllEnvs();
    rmSync(home, { recursive: true });
  }
});

describe("a big_vision file", () => {
  for (const stacked of [false, true]) {
    for (const deflated of [false, true]) {
      const kind = `${deflated ? "deflated " : ""}${stacked ? "stacked " : ""}`;
      it(`of ${kind}arrays gives Hugging Face's tensors and configuration`, async () => {
        const npz = writeNpz(asBigVision(smallTensors, small, stacked), { deflated, wide: stacked });
        const { files } = filesOf({ "x.npz": npz }, "x.npz");
        expect(await readConfig(files)).toEqual({ ...small, text: { ...small.text, dialect: "big_vision" } });
        await expectTensors(await openCheckpoint(files), smallTensors);
      });

      it(`of ${kind}arrays is read once by a load, and rows come in parts of any size`, async () => {
        const npz = writeNpz(asBigVision(smallTensors, small, stacked), { deflated });
        const { files, read } = filesOf({ "x.npz": npz }, "x.npz");
        const checkpoint = await openCheckpoint(files);
        const before = read["x.npz"];
        const backend = new CpuBackend();
        await loadTowers(backend, checkpoint, small, { dtype: "f32", towers: ["image", "text"] });
        expect(read["x.npz"] - before).toBeLessThanOrEqual(npz.length);
        backend.dispose();
        const name = "vision_model.head.attention.in_proj_weight";
        const parts: Uint8Array[] = [];
        for await (const { bytes } of checkpoint.rows(name, { chunkBytes: 300 })) parts.push(bytes);
        expect(parts.length).toBeGreaterThan(10);
        expect(Buffer.compare(Buffer.concat(parts), bytesOf(smallTensors.get(name)!.data))).toBe(0);
      });
    }
  }

  it("may be NaFlex, whose patches are flattened and whose positions are a grid", async () => {
    const { config } = await openGolden("tiny-naflex");
    const tensors = syntheticTensors(config);
    const npz = writeNpz(asBigVision(tensors, config, true));
    const { files } = filesOf({ "x.npz": npz }, "x.npz");
    expect(await readConfig(files)).toEqual({ ...config, text: { ...config.text, dialect: "big_vision" } });
    await expectTensors(await openCheckpoint(files), tensors);
  });

  it("may lack params/, hold an optimiser's state, and say its picture's size in its name", async () => {
    const arrays = asBigVision(smallTensors, small, false);
    arrays.set("opt/0/count", { shape: [1], data: new Float32Array(1) });
    const npz = writeNpz(arrays, { rename: (name) => name.replace("params/", "") });
    for (const [name, imageSize] of [
      ["webli_en_so400m_4_23_58765454.npz", 23],
      ["siglip_4_24.npz", 20],
    ] as const) {
      const { files } = filesOf({ [name]: npz }, name);
      expect((await readConfig(files)).vision.imageSize).toBe(imageSize);
      expect((await openCheckpoint(files)).tensors.size).toBe(smallTensors.size);
    }
  });

  it("behind a URL says its picture's size in its own name, whatever a signature says", async () => {
    const npz = writeNpz(asBigVision(smallTensors, small, false));
    const files = anyLayout({
      name: "memory",
      npz: "siglip_4_23.npz",
      open: async (file) => bytesSource(npz, `https://server.example/${file}?signature=22/a`),
      close: async () => {},
    });
    expect((await readConfig(files)).vision.imageSize).toBe(23);
  });

  it.each([
    ["img/embedding/kernel", undefined, /the array img\/embedding\/kernel of 4 axes, found none/],
    ["img/embedding/kernel", [48, 24], /or \[patch patch 3\] with a square of them, found \[48\] and \[1, 25\]/],
    ["img/embedding/kernel", [4, 4, 1, 24], /patches \[patch, patch, 3\] .*, found \[4, 4, 1\] and \[1, 25\]/],
    ["img/pos_embedding", [1, 24, 25], /a square number of position embeddings, found 24/],
    ["txt/head/bias", undefined, /the array txt\/head\/bias, found \d+ arrays but not this one/],
    ["img/MAPHead_0/MultiHeadDotProductAttention_0/key/bias", [24], /the same shape and type for query, key and value/],
    [
      "txt/Encoder_0/encoderblock/LayerNorm_0/scale",
      [9e14, 0],
      /at most 256 layers in txt\/Encoder_0, found 900000000000000/,
    ],
    ["txt/head/bias", [0], /params\/txt\/head\/bias with no axis of 0, found \[0\]/],
  ])("whose %s is %j is refused in one sentence", async (name, shape, message) => {
    const arrays = asBigVision(smallTensors, small, false);
    if (!shape) arrays.delete(`params/${name}`);
    else arrays.set(`params/${name}`, { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) });
    const { files } = filesOf({ "x.npz": writeNpz(arrays) }, "x.npz");
    await expect(openCheckpoint(files)).rejects.toThrow(message);
    await expect(openCheckpoint(files)).rejects.toThrow(SiglipError);
  });
});
