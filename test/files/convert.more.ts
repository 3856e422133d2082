import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readConfig } from "../../src/files/read-model.ts";
import { findFiles } from "../../src/node/find.ts";
import { type LoadOptions, Siglip } from "../../src/node.ts";
import { siglip } from "../harness/cli.ts";
import { demoInOtherLayouts } from "../harness/layouts.ts";
import { convert, demo, expectSafetensors, folder, place, read } from "./converted.ts";

afterAll(folder.remove);
let layouts: Awaited<ReturnType<typeof demoInOtherLayouts>>;
let wanted: number[][];
beforeAll(async () => {
  layouts = await demoInOtherLayouts();
  wanted = await embed("demo");
});

const options: LoadOptions = { backend: "cpu" };
const pixels = Float32Array.from({ length: 3 * 112 * 112 }, (_, i) => Math.sin(i));
async function embed(model: string, towers: LoadOptions["towers"] = ["image", "text"]): Promise<number[][]> {
  using loaded = await Siglip.load(model, { ...options, towers });
  const image = towers.includes("image") ? [...(await loaded.imageTower(pixels)).data] : [];
  return [image, towers.includes("text") ? [...(await loaded.embedTexts(["two cats"])).data] : []];
}

describe("a converted model", () => {
  it("gives the embeddings that it gave in another layout", async () => {
    for (const [contents, npz] of [[layouts.openClip], [layouts.bigVision, "demo.npz"]] as const) {
      const out = await convert(contents, {}, npz);
      expect(await embed(out)).toEqual(wanted);
      expect(readdirSync(out).sort()).toEqual(Object.keys(demo).sort());
      expectSafetensors(read(join(out, "model.safetensors")));
    }
  });

  it("gives them by one tower, too", async () => {
    for (const tower of ["image", "text"] as const) {
      const out = await convert(demo, { towers: [tower] });
      expect(await embed(out, [tower])).toEqual(tower === "image" ? [wanted[0], []] : [[], wanted[1]]);
    }
  });

  it("is written on the command line, and told of a tokenizer that is missing", async () => {
    const [from, out] = [place(), place()];
    mkdirSync(from);
    const { "spiece.model": _, ...others } = layouts.openClip;
    for (const [name, bytes] of Object.entries(others)) writeFileSync(join(from, name), bytes);
    const args = ["convert", from, "--out", out, "--dtype", "f16", "--shard-size", "2.5MB", "--json"];
    const { code, stdout, stderr } = await siglip(args);
    expect(stderr).toMatch(/spiece\.model or tokenizer\.model or tokenizer\.json, found none/);
    expect(code).toBe(0);
    const { files } = JSON.parse(stdout);
    expect(files.map(({ name }: { name: string }) => name)).toEqual([
      "config.json",
      "preprocessor_config.json",
      "model-00001-of-00003.safetensors",
      "model-00002-of-00003.safetensors",
      "model-00003-of-00003.safetensors",
      "model.safetensors.index.json",
    ]);
    for (const { name, size } of files) expect(statSync(join(out, name)).size).toBe(size);
    expect((await readConfig(await findFiles(out))).vision.hidden).toBe(144);
  });
});
