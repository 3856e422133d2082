import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Source } from "../../src/checkpoint/source.ts";
import { findFiles } from "../../src/node/find.ts";
import { type LoadOptions, Siglip } from "../../src/node.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { type Hub, serveHub } from "../harness/hub.ts";
import { type Contents, demoInOtherLayouts } from "../harness/layouts.ts";
import { type FileServer, serveFiles } from "../harness/server.ts";

const folder = temporaryFolder();
const options: LoadOptions = { backend: "cpu" };
const pixels = Float32Array.from({ length: 3 * 112 * 112 }, (_, i) => Math.sin(i));

async function embed(model: Parameters<typeof Siglip.load>[0], more: LoadOptions = {}): Promise<number[][]> {
  using loaded = await Siglip.load(model, { ...options, ...more });
  const { data } = await loaded.imageTower(pixels);
  return [[...data], [...(await loaded.embedTexts(["two cats"])).data]];
}

let hub: Hub;
let server: FileServer;
let bigVision: Contents;
let wanted: number[][];
beforeAll(async () => {
  vi.stubEnv("XDG_CACHE_HOME", join(folder.path, "cache"));
  vi.stubEnv("HF_HOME", join(folder.path, "hf"));
  const made = await demoInOtherLayouts();
  bigVision = made.bigVision;
  for (const [name, contents] of Object.entries(made)) {
    mkdirSync(join(folder.path, name));
    for (const [file, bytes] of Object.entries(contents)) writeFileSync(join(folder.path, name, file), bytes);
  }
  hub = await serveHub();
  hub.publish("org/clip", made.openClip);
  const under = (name: string, files: Contents) =>
    Object.fromEntries(Object.entries(files).map(([file, bytes]) => [`${name}/${file}`, bytes]));
  server = await serveFiles({ ...under("clip", made.openClip), ...under("vision", bigVision) });
  wanted = await embed("demo");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await hub?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  folder.remove();
});

const readAll = (source?: Source) => source!.read(0, source!.size);

describe("a model of another layout", () => {
  const places: Record<string, () => [Parameters<typeof Siglip.load>[0], LoadOptions?]> = {
    "an open_clip folder": () => [join(folder.path, "openClip")],
    "an open_clip model of the Hub": () => ["org/clip", { endpoint: hub.endpoint }],
    "a big_vision file's URL": () => [`${server.url}vision/demo.npz?download=true`],
    "a big_vision file among Files": () => [Object.entries(bigVision).map(([name, bytes]) => new File([bytes], name))],
  };
  for (const [name, place] of Object.entries(places)) {
    it(`gives as ${name} what it gives in Hugging Face's`, async () => {
      const [model, more] = place();
      expect(await embed(model, more)).toEqual(wanted);
    });
  }

  it("needs no ranges, and has a version where its server tells one", async () => {
    server.misbehave("", { ranges: false });
    using loaded = await Siglip.load(new URL(`${server.url}clip/`), { ...options, cache: false, towers: ["image"] });
    expect(loaded.version).toEqual(expect.any(String));
  });

  it("reads texts in its layout's dialect, and in Hugging Face's where that is asked for", async () => {
    const ids = async (model: string, dialect?: LoadOptions["dialect"]) => {
      using loaded = await Siglip.load(model, { ...options, dialect, towers: ["text"] });
      return [...(await loaded.embedTexts(["Two_&lt;cats!"])).data];
    };
    const clip = await ids(join(folder.path, "openClip"));
    expect(clip).toEqual(await ids("demo", "open_clip"));
    expect(clip).not.toEqual(await ids("demo"));
    expect(await ids(join(folder.path, "openClip"), "hf")).toEqual(await ids("demo"));
    expect(await ids(join(folder.path, "bigVision", "demo.npz"))).toEqual(await ids("demo", "big_vision"));
  });

  it("may be a file of a folder", async () => {
    const files = await findFiles(join(folder.path, "bigVision", "demo.npz"));
    const { vision_config } = JSON.parse(new TextDecoder().decode(await readAll(await files.open("config.json"))));
    await files.close();
    expect(vision_config).toMatchObject({ hidden_size: 144, num_attention_heads: 2, image_size: 112 });
  });
});
