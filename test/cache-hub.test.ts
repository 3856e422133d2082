import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open as openFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { KeepOptions } from "../src/node/cache.ts";
import { BLOCK } from "../src/node/cache-blocks.ts";
import { hubCacheFolder } from "../src/node/folders.ts";
import { keptHubFiles } from "../src/node/hub.ts";
import { type Hub, serveHub } from "./hub.ts";
import { pattern } from "./interrupt.ts";
import { bytesServed, digest } from "./server.ts";

// What file systems refuse, as if this one did.
const refused = vi.hoisted(() => new Map<string, string>());
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const refuse =
    (name: "symlink" | "link") =>
    async (...paths: [string, string]) => {
      const code = refused.get(name);
      if (code) throw Object.assign(new Error(code), { code });
      return real[name](...paths);
    };
  return { ...real, symlink: refuse("symlink"), link: refuse("link") };
});

const ID = "google/tiny";
/** Larger than what is looked through whenever it is opened. */
const WEIGHTS = pattern(17 * 2 ** 20 + 12345, 1);
const FILES = {
  "config.json": '{"model_type": "siglip"}',
  "spiece.model": pattern(200_000, 2),
  "model.safetensors": WEIGHTS,
};
const sha256 = digest("sha256", WEIGHTS);

let hub: Hub;
let home = "";
let warnings: string[] = [];
beforeEach(async () => {
  hub = await serveHub();
  home = mkdtempSync(join(tmpdir(), "siglip-hub-"));
  vi.stubEnv("HF_HOME", join(home, "hf"));
  vi.stubEnv("HF_HUB_CACHE", "");
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("XDG_CACHE_HOME", join(home, "cache"));
  warnings = [];
  refused.clear();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

const open = (revision = "main", more: Partial<KeepOptions> = {}) =>
  keptHubFiles(
    { id: ID, revision },
    { endpoint: hub.endpoint, pause: 1, onWarning: (message) => warnings.push(message), ...more },
  );

const model = (...path: string[]) => join(home, "hf", "hub", "models--google--tiny", ...path);
const parts = () => join(home, "cache", "siglip", "hub", "google--tiny", "parts");
const asked = () => [hub.site, hub.cdn].map(({ requests }) => requests.length);

/** Reads some of a file, all of it by default. */
async function read(name: string, revision?: string, length?: number): Promise<Buffer | undefined> {
  const files = open(revision);
  try {
    await files.open("config.json");
    const source = await files.open(name);
    return source && Buffer.from(await source.read(0, length ?? source.size));
  } finally {
    await files.close();
  }
}

async function download(revision?: string) {
  const files = open(revision);
  try {
    for (const name of Object.keys(FILES)) await files.open(name);
    return await files.complete();
  } finally {
    await files.close();
  }
}

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] ^= 1;
  writeFileSync(path, bytes);
}

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
    warnings = [];
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

describe("a file system", () => {
  it("that refuses symbolic links gets plain files, by a second name for the bytes or a copy of them", async () => {
    const commit = hub.publish(ID, FILES);
    refused.set("symlink", "EPERM");
    await download();
    const path = model("snapshots", commit, "model.safetensors");
    expect([lstatSync(path).isSymbolicLink(), lstatSync(path).nlink]).toEqual([false, 2]);
    rmSync(path);
    refused.set("link", "EPERM");
    await download();
    expect(lstatSync(path).nlink).toBe(1);
    expect(readFileSync(path).equals(WEIGHTS)).toBe(true);
    expect(readdirSync(model()).sort()).toEqual(["blobs", "refs", "snapshots"]);
  });

  it("of its own under Hugging Face's cache gets a copy", async (context) => {
    const shared = "/dev/shm";
    if (!existsSync(shared) || statSync(shared).dev === statSync(home).dev)
      return context.skip("no second file system");
    const other = mkdtempSync(join(shared, "siglip-hub-"));
    try {
      vi.stubEnv("HF_HUB_CACHE", other);
      const commit = hub.publish(ID, FILES);
      const complete = await download();
      const folder = join(other, "models--google--tiny");
      expect(complete.map(({ path }) => path)).toEqual(
        Object.keys(FILES).map((name) => join(folder, "snapshots", commit, name)),
      );
      expect(readFileSync(complete[2].path).equals(WEIGHTS)).toBe(true);
      expect([readdirSync(parts()), readdirSync(folder).sort()]).toEqual([[], ["blobs", "refs", "snapshots"]]);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it("that is full is told of in one sentence, and what was written stays", async () => {
    hub.publish(ID, FILES);
    await read("model.safetensors", "main", 4 * 2 ** 20);
    const handle = await openFile(join(parts(), sha256));
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const write = vi.spyOn(Object.getPrototypeOf(handle), "write").mockRejectedValue(full);
    await handle.close();
    await expect(read("model.safetensors")).rejects.toThrow(
      `${join(parts(), sha256)}: wanted to write this file, found no space left on the disk; free some and try again.`,
    );
    write.mockRestore();
    await download();
    expect(hub.cdn.requests.at(-1)?.headers.range).toBe(`bytes=${4 * 2 ** 20}-${WEIGHTS.length - 1}`);
    expect(warnings).toEqual([]);
  });

  it("where nothing can be kept is done without, with a warning", async () => {
    hub.publish(ID, FILES);
    put(join(home, "plain"), "");
    vi.stubEnv("XDG_CACHE_HOME", join(home, "plain"));
    vi.stubEnv("HF_HUB_CACHE", join(home, "plain"));
    expect((await read("model.safetensors", "main", 2 ** 20))?.equals(WEIGHTS.subarray(0, 2 ** 20))).toBe(true);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /^The model is fetched again whenever .*wanted to write this file, found a part of the path/,
    );
    await expect(download()).rejects.toThrow(/wanted to keep it, found no place for it; make .* writable\.$/);
    hub.cdn.misbehave("", { ranges: false });
    expect((await read("model.safetensors", "main", 2 ** 20))?.equals(WEIGHTS.subarray(0, 2 ** 20))).toBe(true);
  });

  it("where Hugging Face's cache cannot be written keeps the whole file in ours", async () => {
    hub.publish(ID, FILES);
    put(join(home, "plain"), "");
    vi.stubEnv("HF_HUB_CACHE", join(home, "plain"));
    const complete = await download();
    expect(complete.map(({ path }) => dirname(path))).toEqual([parts(), parts(), parts()]);
    expect(readFileSync(complete[2].path).equals(WEIGHTS)).toBe(true);
    expect(warnings[0]).toMatch(
      /^\S+ stays there: .*wanted to write this file, found a part of the path that is no folder/,
    );
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
