import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { convertFiles } from "../../src/files/convert.ts";
import { checkNewFolder, writeNewFolder } from "../../src/node/new-folder.ts";
import { float32ToHalf } from "../../src/support/numbers.ts";
import { filesOf, safetensors } from "../harness/layouts.ts";
import type { Tensors } from "../judge/layouts.ts";
import {
  convert,
  demo,
  expectDemo,
  expectSafetensors,
  folder,
  json,
  open,
  place,
  read,
  weightsIn,
} from "./converted.ts";

afterAll(folder.remove);

describe("a converted model", () => {
  it("keeps its bytes where nothing is asked for, its files beside the weights always", async () => {
    const out = await convert(demo);
    for (const name of ["preprocessor_config.json", "spiece.model"]) expect(read(join(out, name))).toEqual(demo[name]);
    expect(json(out, "config.json")).toEqual(JSON.parse(new TextDecoder().decode(demo["config.json"])));
    const written = await open(out);
    const own = await Checkpoint.open([bytesSource(demo["model.safetensors"])]);
    for (const { name, dtype } of own.tensors.values()) expect(written.info(name).dtype).toBe(dtype);
    await expectDemo(written);
  });

  it("may be sharded, each file but for one large tensor within its size", async () => {
    const out = await convert(demo, { shardSize: 1e6, dtype: "f32" });
    const files = weightsIn(out);
    expect(files.length).toBeGreaterThan(9);
    expect(files[0]).toBe(`model-00001-of-000${files.length}.safetensors`);
    const index = json(out, "model.safetensors.index.json");
    let total = 0;
    for (const name of files) {
      const file = read(join(out, name));
      expectSafetensors(file);
      const bytes = file.length - 8 - Number(new DataView(file.buffer).getBigUint64(0, true));
      expect(bytes).toBeLessThanOrEqual(1e6);
      total += bytes;
    }
    expect(index.metadata.total_size).toBe(total);
    expect(Object.keys(index.weight_map)).toHaveLength((await open(out)).tensors.size);
    expect(json(out, "config.json").torch_dtype).toBe("float32");
    await expectDemo(await open(out));
  });

  it("has one tower where one is asked for, as Hugging Face's class of it", async () => {
    for (const [tower, word] of [
      ["image", "vision"],
      ["text", "text"],
    ] as const) {
      const out = await convert(demo, { towers: [tower] });
      const config = json(out, "config.json");
      const name = `Siglip${word === "vision" ? "Vision" : "Text"}Model`;
      expect(config).toMatchObject({ architectures: [name], model_type: `siglip_${word}_model`, hidden_size: 144 });
      expect([...(await open(out)).tensors.keys()].every((name) => name.startsWith(`${word}_model.`))).toBe(true);
      expect(readdirSync(out).includes("spiece.model")).toBe(tower === "text");
      const again = convert(Object.fromEntries(readdirSync(out).map((file) => [file, read(join(out, file))])), {
        towers: ["image", "text"],
      });
      await expect(again).rejects.toThrow(/wanted the (image|text) tower, found the (text|image) tower only/);
    }
  });
});

describe("weights in another precision", () => {
  const values = Float32Array.of(1, -2.5, 1 + 2 ** -9, 1 + 3 * 2 ** -9, 1e-41, Number.NaN, 3.4e38, 0.1);
  const contents = async (data = values) => {
    const tensors: Tensors = new Map([
      ["vision_model.post_layernorm.weight", { shape: [data.length], data }],
      ["logit_scale", { shape: [1], data: Float32Array.of(0.1) }],
    ]);
    return { ...demo, "model.safetensors": await safetensors(tensors) };
  };

  it("are rounded to nearest even as bf16; single values are not", async () => {
    const out = await convert(await contents(), { dtype: "bf16" });
    const checkpoint = await open(out);
    expect(checkpoint.info("logit_scale").dtype).toBe("F32");
    expect(checkpoint.info("vision_model.post_layernorm.weight").dtype).toBe("BF16");
    const read = [...(await checkpoint.read("vision_model.post_layernorm.weight"))];
    const wanted = [1, -2.5, 1, 1 + 2 ** -7, 1e-41, Number.NaN, Number.POSITIVE_INFINITY, 0.1];
    expect(read.slice(0, 4)).toEqual(wanted.slice(0, 4));
    expect(read[5]).toBeNaN();
    expect(read[7]).toBeCloseTo(0.1, 3);
    expect(json(out, "config.json").torch_dtype).toBe("bfloat16");
  });

  it("are rounded as f16, or refused where they do not fit", async () => {
    const fitting = values.map((value) => (value > 1e30 ? 65504 : value));
    const checkpoint = await open(await convert(await contents(fitting), { dtype: "f16" }));
    const read = await checkpoint.read("vision_model.post_layernorm.weight");
    expect(float32ToHalf(read)).toEqual(float32ToHalf(fitting));
    await expect(convert(await contents(), { dtype: "f16" })).rejects.toThrow(
      /weights up to 65504 for f16, found 3\.\d*e\+38; convert to bf16 or f32\.$/,
    );
  });
});

describe("the folder", () => {
  it("is never replaced, but for an empty one, and does not appear when anything fails", async () => {
    const out = place();
    mkdirSync(out);
    await writeNewFolder(out, convertFiles(filesOf(demo).files));
    const before = readdirSync(out);
    await expect(writeNewFolder(out, convertFiles(filesOf(demo).files))).rejects.toThrow(/found \d+ files in it/);
    expect(readdirSync(out)).toEqual(before);
    const file = place();
    writeFileSync(file, "mine");
    await expect(writeNewFolder(file, convertFiles(filesOf(demo).files))).rejects.toThrow(/found a file/);
    // As a path of nothing is the folder that one stands in.
    await expect(checkNewFolder("")).rejects.toThrow(/found \d+ files in it/);

    const abort = new AbortController();
    const onProgress = () => abort.abort();
    const [failing, fine] = [place(), readdirSync(folder.path).length];
    const converting = convertFiles(filesOf(demo).files, { onProgress, signal: abort.signal });
    await expect(writeNewFolder(failing, converting, abort.signal)).rejects.toThrow(/abort/i);
    expect(readdirSync(folder.path)).toHaveLength(fine);
  });
});
