import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { BLOCK } from "../../../src/node/cache/blocks.ts";
import { hubCacheFolder } from "../../../src/node/cache/folders.ts";
import {
  asked,
  download,
  FILES,
  flip,
  home,
  hub,
  ID,
  model,
  open,
  parts,
  put,
  read,
  sha256,
  useHubCaches,
  WEIGHTS,
  warnings,
} from "../../harness/hub-caches.ts";
import { bytesServed, digest } from "../../harness/server.ts";

useHubCaches();

it("lies where Hugging Face's variables say", () => {
  const home = homedir();
  expect(hubCacheFolder({})).toBe(join(home, ".cache/huggingface/hub"));
  expect(hubCacheFolder({ XDG_CACHE_HOME: "/x" })).toBe("/x/huggingface/hub");
  expect(hubCacheFolder({ HF_HOME: "~/h", XDG_CACHE_HOME: "/x" })).toBe(join(home, "h/hub"));
  expect(hubCacheFolder({ HF_HUB_CACHE: "/c", HF_HOME: "/h" })).toBe("/c");
});

describe("a network that answers every request with a page of its own", () => {
  it("is no Hub that lacks a file", async () => {
    const commit = hub.publish(ID, FILES);
    const page = { content: "<html>Sign in</html>", headers: { "Content-Type": "text/html; charset=utf-8" } };
    hub.site.misbehave("", { entry: page }, 2);
    for (const revision of [commit, "main"]) {
      await expect(open(revision).open("config.json")).rejects.toThrow(
        /wanted a file of the model, found a web page; .*\.$/,
      );
    }
    const files = open(commit);
    expect((await files.open("config.json"))?.size).toBe(FILES["config.json"].length);
    await files.close();
  });
});

describe("a model on the Hub", () => {
  it("comes into Hugging Face's cache as Hugging Face's libraries would have put it there", async () => {
    const commit = hub.publish(ID, FILES);
    const files = open();
    for (const name of [...Object.keys(FILES), "none.json"]) await files.open(name);
    expect(files.version).toBe(commit);
    const complete = await files.complete();
    await files.close();
    expect(complete.map(({ name }) => name)).toEqual(Object.keys(FILES));
    for (const [name, content] of Object.entries(FILES)) {
      const path = model("snapshots", commit, name);
      const bytes = Buffer.from(content as Buffer);
      expect(readFileSync(path).equals(bytes)).toBe(true);
      const oid = name.endsWith(".json") ? digest("sha1", `blob ${bytes.length}\0`, bytes) : digest("sha256", bytes);
      expect(readlinkSync(path)).toBe(`../../blobs/${oid}`);
    }
    expect(readFileSync(model("refs", "main"), "utf8")).toBe(commit);
    expect(readdirSync(model()).sort()).toEqual([".no_exist", "blobs", "refs", "snapshots"]);
    expect(readdirSync(model(".no_exist", commit))).toEqual(["none.json"]);
    expect(readdirSync(parts())).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it("is used as Python left it, with one small request, and with none that is answered", async () => {
    const commit = hub.publish(ID, FILES);
    // Here as plain files, which Python makes where links are refused.
    put(model("refs/main"), commit);
    for (const [name, content] of Object.entries(FILES)) put(model("snapshots", commit, name), content);
    expect((await read("model.safetensors"))?.equals(WEIGHTS)).toBe(true);
    expect(hub.site.requests.map(({ path }) => path)).toEqual([`${ID}/resolve/main/config.json`]);
    expect(hub.cdn.requests).toEqual([]);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await read("model.safetensors"))?.equals(WEIGHTS)).toBe(true);
    expect(await read("model.safetensors.index.json")).toBeUndefined();
    expect(asked()).toEqual([1, 0]);
    vi.stubEnv("HF_HUB_OFFLINE", "0");
    hub.gate(ID, "secret");
    expect((await read("spiece.model"))?.equals(FILES["spiece.model"])).toBe(true);
    hub.site.misbehave("", { cut: 0 });
    for (const revision of ["main", commit]) {
      const files = open(revision);
      expect((await files.open("config.json"))?.size).toBe(FILES["config.json"].length);
      // What is not there is not there, though nobody says so.
      expect(await files.open("model.safetensors.index.json")).toBeUndefined();
      expect((await files.open("spiece.model"))?.size).toBe(FILES["spiece.model"].length);
      await files.close();
    }
    expect(warnings).toEqual([]);
  });

  it("keeps the part that was read, outside Hugging Face's cache, and works with it alone", async () => {
    hub.publish(ID, FILES);
    const half = 8 * 2 ** 20;
    const readHalf = async () =>
      expect((await read("model.safetensors", "main", half))?.equals(WEIGHTS.subarray(0, half))).toBe(true);
    await readHalf();
    // The first answer brings 64 KiB.
    expect(bytesServed(hub.cdn)).toBeLessThanOrEqual(half + 2 * BLOCK);
    expect(readdirSync(model("blobs"))).toHaveLength(1);
    const before = asked();
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await readHalf();
    expect(asked()).toEqual(before);
  });

  it("that nobody has is told of in one sentence where the Hub is not asked", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "yes");
    await expect(open().open("config.json")).rejects.toThrow(
      `google/tiny: wanted this model, found HF_HUB_OFFLINE set and nothing of it in ${join(home, "hf", "hub")}; unset it, or download the model first.`,
    );
  });

  it("is all of one commit; a later one is noticed, takes over what is the same and leaves the former", async () => {
    const first = hub.publish(ID, FILES);
    await download();
    const second = hub.publish(ID, { ...FILES, "config.json": "{}" });
    const served = bytesServed(hub.cdn);
    expect((await read("config.json"))?.toString()).toBe("{}");
    expect((await read("model.safetensors"))?.equals(WEIGHTS)).toBe(true);
    // As much as the first answer brings.
    expect(bytesServed(hub.cdn) - served).toBeLessThanOrEqual(2 * BLOCK);
    expect(readFileSync(model("refs", "main"), "utf8")).toBe(second);
    expect(readFileSync(model("snapshots", first, "config.json"), "utf8")).toBe(FILES["config.json"]);
    const before = asked();
    expect((await read("config.json", first))?.toString()).toBe(FILES["config.json"]);
    expect(asked()).toEqual(before);
    await read("config.json", "v1.0").catch((error) => expect(error.message).toContain("RevisionNotFound"));
    hub.publish(ID, FILES, "refs/pr/1");
    expect((await read("config.json", "refs/pr/1"))?.toString()).toBe(FILES["config.json"]);
    expect(existsSync(model("refs", "refs", "pr", "1"))).toBe(true);
  });
});

describe("what is damaged", () => {
  it("is named, set aside and fetched again: a small file when it is opened, a large one when it is completed", async () => {
    const commit = hub.publish(ID, FILES);
    await download();
    for (const name of ["spiece.model", "model.safetensors"] as const) {
      const path = model("snapshots", commit, name);
      flip(path, 100_000);
      if (name === "spiece.model") expect((await read(name))?.equals(FILES[name])).toBe(true);
      else await download();
      expect(readFileSync(path).equals(FILES[name])).toBe(true);
      const [warning] = warnings.splice(0);
      expect(warning).toMatch(/^\S+: found damaged, kept as \S+\.damaged; it is fetched again\.$/);
      expect(statSync(/(\S+\.damaged)/.exec(warning)![1]).size).toBe(FILES[name].length);
    }
  });

  it("on its way is fetched again once, and refused the second time", async () => {
    hub.publish(ID, FILES);
    const wrong = Buffer.from(FILES["spiece.model"]);
    wrong[150_000] ^= 1;
    const sha = digest("sha256", FILES["spiece.model"]);
    const change = (times?: number) =>
      hub.cdn.misbehave(
        sha,
        { entry: { content: wrong, headers: { ETag: `"${digest("sha1", FILES["spiece.model"])}"` } } },
        times,
      );
    change();
    await expect(read("spiece.model")).rejects.toThrow(/wanted bytes of the name \w{64}, found others twice; .*\.$/);
    expect(readdirSync(model("blobs"))).toHaveLength(1);
    hub.cdn.behave();
    await rmSync(parts(), { recursive: true });
    warnings.length = 0;
    change(2);
    expect((await read("spiece.model"))?.equals(FILES["spiece.model"])).toBe(true);
    expect(warnings[0]).toMatch(/found other bytes than the Hub names, kept as \S+\.damaged; it is fetched again\.$/);
  });

  it("in a partial file is found before it gets a final name", async () => {
    hub.publish(ID, FILES);
    await read("model.safetensors", "main", 4 * 2 ** 20);
    flip(join(parts(), sha256), 2 ** 20);
    await download();
    expect(readFileSync(model("blobs", sha256)).equals(WEIGHTS)).toBe(true);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`found bytes ${2 ** 20} to ${2 ** 20 + BLOCK} damaged`);
  });
});

describe("a server without ranges", () => {
  it("sends a file once, and what was cut off is not lost", async () => {
    hub.publish(ID, FILES);
    hub.cdn.misbehave("", { ranges: false });
    const told: number[] = [];
    const files = open("main", { onDownload: (_file, loaded) => told.push(loaded) });
    await files.open("config.json");
    const source = (await files.open("model.safetensors"))!;
    expect(Buffer.from(await source.read(2 ** 24, 100)).equals(WEIGHTS.subarray(2 ** 24, 2 ** 24 + 100))).toBe(true);
    expect(Buffer.from(await source.read(5, 100)).equals(WEIGHTS.subarray(5, 105))).toBe(true);
    await files.close();
    expect(told.at(-1)).toBe(WEIGHTS.length);
    // One answer to see that it knows none, which is left, and one for the whole.
    expect(hub.cdn.requests).toHaveLength(2);
    expect(readFileSync(model("blobs", sha256)).equals(WEIGHTS)).toBe(true);
  });
});
