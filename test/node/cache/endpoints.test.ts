import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  FILES,
  hub,
  hubFolder,
  ID,
  model,
  open,
  parts,
  put,
  useHubCaches,
  WEIGHTS,
  warnings,
} from "../../harness/hub-caches.ts";
import { type Content, digest, type FileServer, serveFiles } from "../../harness/server.ts";

useHubCaches();

// A second Hub that answers for the same model, and says of its commit and contents whatever it likes.

let mirror: FileServer;
let commit = "";
/** What the mirror has, and what it says of each: by default what the real Hub would. */
let content: Record<string, Content> = {};
let etag: (name: string) => string;
beforeEach(async () => {
  commit = hub.publish(ID, { ...FILES, "preprocessor_config.json": "{}" });
  content = { ...FILES, "preprocessor_config.json": '{"do_normalize": false}' };
  etag = (name) => trueTag(name);
  mirror = await serveFiles({}, (path) => {
    const name = path.split("/").at(-1)!;
    const headers = { "X-Repo-Commit": commit, ETag: `"${etag(name)}"` };
    return Object.hasOwn(content, name) ? { content: content[name], headers } : undefined;
  });
});
afterEach(() => mirror[Symbol.asyncDispose]());

function trueTag(name: string): string {
  const bytes = Buffer.from((FILES as Record<string, string | Buffer>)[name] ?? "{}");
  return name.endsWith(".json") ? digest("sha1", `blob ${bytes.length}\0`, bytes) : digest("sha256", bytes);
}

const address = () => mirror.url.slice(0, -1);

/** Some of some files, read from a Hub. */
async function load(endpoint: string, names: readonly string[], length = Number.POSITIVE_INFINITY) {
  const files = open("main", { endpoint });
  const read: Record<string, Buffer | undefined> = {};
  try {
    for (const name of names) {
      const source = await files.open(name);
      read[name] = source && Buffer.from(await source.read(0, Math.min(length, source.size)));
    }
    return read;
  } finally {
    await files.close();
  }
}

const SMALL = ["config.json", "preprocessor_config.json", "generation_config.json"];
const ALL = [...SMALL, "spiece.model", "model.safetensors"];

describe("what a mirror sent", () => {
  it("is never used as another Hub's, though it states that one's commit and digests", async () => {
    const altered = WEIGHTS.map((byte) => byte ^ 1);
    content["model.safetensors"] = altered;
    const half = 2 ** 20;
    const bad = await load(address(), ["model.safetensors"], half);
    expect(bad["model.safetensors"]?.equals(Buffer.from(altered.subarray(0, half)))).toBe(true);
    const good = await load(hub.endpoint, ["config.json", "model.safetensors"], half);
    expect(good["model.safetensors"]?.equals(WEIGHTS.subarray(0, half))).toBe(true);
    // Nor the other way round once the real one is not there.
    hub.site.misbehave("", { cut: 0 });
    const again = await load(hub.endpoint, ["config.json", "model.safetensors"], half);
    expect(again["model.safetensors"]?.equals(WEIGHTS.subarray(0, half))).toBe(true);
    expect(warnings).toEqual([]);
  });

  it("never enters Hugging Face's cache, and what it lacks is not missing elsewhere", async () => {
    etag = (name) => (name.startsWith("pre") ? digest("sha1", "blob 23\0", '{"do_normalize": false}') : trueTag(name));
    commit = hub.publish(ID, { ...FILES, "preprocessor_config.json": "{}", "generation_config.json": "[]" });
    const bad = await load(address(), SMALL);
    expect(bad["preprocessor_config.json"]?.toString()).toBe('{"do_normalize": false}');
    expect(bad["generation_config.json"]).toBeUndefined();
    expect(existsSync(model())).toBe(false);
    const good = await load(hub.endpoint, SMALL);
    expect(good["preprocessor_config.json"]?.toString()).toBe("{}");
    expect(good["generation_config.json"]?.toString()).toBe("[]");
    expect(readFileSync(model("snapshots", commit, "preprocessor_config.json"), "utf8")).toBe("{}");
    // Each has its own for the next time, without asking.
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await load(address(), SMALL)).toEqual(bad);
    expect(await load(hub.endpoint, SMALL)).toEqual(good);
  });

  it("is kept for it, whole and by names, and what the shared cache has serves for both", async () => {
    content["preprocessor_config.json"] = "{}";
    const files = open("main", { endpoint: address() });
    for (const name of ALL) await files.open(name);
    const complete = await files.complete();
    await files.close();
    const folder = join(hubFolder(address()), "models--google--tiny", "snapshots", commit);
    expect(complete.map(({ path }) => path)).toContain(join(folder, "model.safetensors"));
    expect(readdirSync(parts(address()))).toEqual([]);
    put(model("refs/main"), commit);
    put(model("snapshots", commit, "only-there.json"), "{}");
    expect((await load(address(), ["only-there.json"]))["only-there.json"]?.toString()).toBe("{}");
  });
});

describe("a Hub that names the same contents otherwise by now", () => {
  const other = (name: string) => digest("sha256", `other ${trueTag(name)}`);

  it("has them fetched anew, by a load and by a download, at once", async () => {
    const half = 2 ** 20;
    await load(address(), ["config.json", "model.safetensors"], half);
    etag = (name) => digest("sha1", name);
    const read = await load(address(), ["config.json", "model.safetensors"], 2 * half);
    expect(read["model.safetensors"]?.equals(WEIGHTS.subarray(0, 2 * half))).toBe(true);
    expect(readdirSync(parts(address()))).toHaveLength(2);
    etag = other;
    const files = open("main", { endpoint: address() });
    await files.open("model.safetensors");
    await expect(files.complete()).rejects.toThrow("found others twice");
    await files.close();
    etag = trueTag;
    const again = open("main", { endpoint: address() });
    await again.open("model.safetensors");
    const [{ path }] = await again.complete();
    await again.close();
    expect(readFileSync(path).equals(WEIGHTS)).toBe(true);
  });

  it("and is silent at first costs one load that says so", async () => {
    const half = 2 ** 20;
    await load(address(), ["config.json", "model.safetensors"], half);
    etag = other;
    const files = open(commit, { endpoint: address() });
    mirror.misbehave("model.safetensors", { cut: 0 });
    const source = (await files.open("model.safetensors"))!;
    mirror.behave();
    await expect(source.read(0, 2 * half)).rejects.toMatchObject({ code: "network" });
    await files.close();
    const read = await load(address(), ["model.safetensors"], 2 * half);
    expect(read["model.safetensors"]?.equals(WEIGHTS.subarray(0, 2 * half))).toBe(true);
  });

  it("and cannot be kept is read without", async () => {
    const half = 2 ** 20;
    await load(address(), ["config.json", "model.safetensors"], half);
    etag = other;
    rmSync(parts(address()), { recursive: true });
    put(parts(address()), "a file");
    const read = await load(address(), ["model.safetensors"], half);
    expect(read["model.safetensors"]?.equals(WEIGHTS.subarray(0, half))).toBe(true);
    expect(warnings.join()).toContain("fetched again whenever it is loaded");
  });
});
