import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { deleteCached, listCached } from "../../../src/node/cache/list.ts";
import { keptUrlFiles } from "../../../src/node/cache/url-files.ts";
import {
  download,
  FILES,
  home,
  hub,
  hubFolder,
  ID,
  model,
  put,
  read,
  useHubCaches,
  WEIGHTS,
} from "../../harness/hub-caches.ts";

useHubCaches();

const LARGE = WEIGHTS.length;

it("names the models in this machine's caches, what they take, and whether they are whole", async () => {
  expect(await listCached()).toEqual([]);
  const commit = hub.publish(ID, FILES);
  const { endpoint } = hub;
  await read("model.safetensors", "main", 2 ** 21, { trusted: undefined });
  let [found] = await listCached();
  expect(found).toMatchObject({ model: ID, endpoint, complete: false });
  expect(found.bytes).toBeGreaterThan(2 ** 21);
  expect(found.bytes).toBeLessThan(LARGE / 2);
  await download("main", { trusted: undefined });
  [found] = await listCached();
  expect(found).toMatchObject({ model: ID, endpoint, complete: true });
  expect(found.bytes).toBeGreaterThan(LARGE);
  expect(found.bytes).toBeLessThan(LARGE * 1.2);

  // What Hugging Face's tools left, SigLIP's and others.
  for (const [name, type] of [
    ["google--siglip", "siglip"],
    ["google--siglip2", "siglip"],
    ["other--bert", "bert"],
  ]) {
    const snapshot = join(home, "hf", "hub", `models--${name}`, "snapshots", commit);
    put(join(snapshot, "config.json"), `{ "model_type": "${type}" }`);
    if (name.endsWith("2")) put(join(snapshot, "model.safetensors"), "x");
  }
  const url = keptUrlFiles(new URL(`${hub.cdn.url}m`));
  hub.cdn.files.set("m/model.safetensors", { content: "short" });
  await (await url.open("model.safetensors"))!.read(0, 5);
  await url.close();
  const all = (await listCached()).map(({ model, endpoint, complete }) => [model, endpoint, complete]);
  expect(all).toEqual([
    ["google/siglip", "https://huggingface.co", false],
    ["google/siglip2", "https://huggingface.co", true],
    [ID, endpoint, true],
    [`${hub.cdn.url}m/model.safetensors`, undefined, true],
  ]);
});

it("deletes one, all of a name, and everything that is a model of this kind", async () => {
  const commit = hub.publish(ID, FILES);
  await download("main", { trusted: undefined });
  const config = join("snapshots", commit, "config.json");
  put(model(config), '{ "model_type": "siglip" }');
  const bert = join(home, "hf", "hub", "models--other--bert");
  put(join(bert, config), '{ "model_type": "bert" }');
  const outside = join(home, "outside");
  put(join(outside, "file"), "mine");
  mkdirSync(join(hubFolder(), "a--b"), { recursive: true });
  symlinkSync(outside, join(hubFolder(), "a--b", "link"));
  const [shared, , own] = await listCached();
  expect([shared.model, own.model]).toEqual([ID, ID]);
  await deleteCached(own);
  expect((await listCached()).map(({ model }) => model)).toEqual([ID, "a/b"]);
  await deleteCached(ID);
  expect(existsSync(model())).toBe(false);
  await deleteCached();
  expect(await listCached()).toEqual([]);
  for (const path of [join(bert, config), join(outside, "file")]) expect(existsSync(path), path).toBe(true);
});
