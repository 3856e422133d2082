import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { KeepOptions } from "../src/node/cache.ts";
import { BLOCK } from "../src/node/cache-blocks.ts";
import { keptHubFiles } from "../src/node/hub.ts";
import { type Hub, serveHub } from "./hub.ts";
import { bytesServed, digest } from "./server.ts";

const ID = "google/tiny";
const MODEL = { id: ID, revision: "main" };
/** Large enough not to be fetched whole. */
const WEIGHTS = pattern(17 * 2 ** 20 + 12345, 1);
const FILES = {
  "config.json": '{"model_type": "siglip"}',
  "spiece.model": pattern(200_000, 2),
  "model.safetensors": WEIGHTS,
};

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
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, x = seed; at + 4 <= length; at += 4) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(x, at);
  }
  return bytes;
}

const options = (more: Partial<KeepOptions> = {}): KeepOptions => ({
  endpoint: hub.endpoint,
  pause: 1,
  onWarning: (message) => warnings.push(message),
  ...more,
});

const model = () => join(home, "hf", "hub", "models--google--tiny");

async function readWhole(name: string, more?: Partial<KeepOptions>): Promise<Buffer | undefined> {
  const files = keptHubFiles(MODEL, options(more));
  try {
    const source = await files.open(name);
    return source && Buffer.from(await source.read(0, source.size));
  } finally {
    await files.close();
  }
}

describe("a model on the Hub", () => {
  it("comes into Hugging Face's cache as Hugging Face's libraries would have put it there", async () => {
    const commit = hub.publish(ID, FILES);
    const files = keptHubFiles(MODEL, options());
    for (const name of [...Object.keys(FILES), "none.json"]) await files.open(name);
    expect(files.version).toBe(commit);
    const complete = await files.complete();
    await files.close();
    expect(complete.map(({ name }) => name)).toEqual(Object.keys(FILES));
    for (const [name, content] of Object.entries(FILES)) {
      const path = join(model(), "snapshots", commit, name);
      const bytes = Buffer.from(content as Buffer);
      expect(readFileSync(path).equals(bytes)).toBe(true);
      const oid = name.endsWith(".json") ? digest("sha1", `blob ${bytes.length}\0`, bytes) : digest("sha256", bytes);
      expect(readlinkSync(path)).toBe(`../../blobs/${oid}`);
    }
    expect(readFileSync(join(model(), "refs", "main"), "utf8")).toBe(commit);
    expect(readdirSync(model()).sort()).toEqual([".no_exist", "blobs", "refs", "snapshots"]);
    expect(readdirSync(join(model(), ".no_exist", commit))).toEqual(["none.json"]);
    expect(readdirSync(join(home, "cache", "siglip", "hub", "google--tiny", "parts"))).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it("is used as Python left it, with one small request, and with none that is answered", async () => {
    const commit = hub.publish(ID, FILES);
    // As Python's snapshot_download leaves it, here with the weights as a plain file, which it makes where links are refused.
    const put = (path: string, content: string | Uint8Array) => {
      mkdirSync(dirname(join(model(), path)), { recursive: true });
      writeFileSync(join(model(), path), content);
    };
    put("refs/main", commit);
    for (const [name, content] of Object.entries(FILES)) put(`snapshots/${commit}/${name}`, content);
    expect((await readWhole("model.safetensors"))?.equals(WEIGHTS)).toBe(true);
    expect(hub.site.requests.map(({ path }) => path)).toEqual([`${ID}/resolve/main/config.json`]);
    expect(hub.cdn.requests).toEqual([]);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await readWhole("model.safetensors"))?.equals(WEIGHTS)).toBe(true);
    expect(await readWhole("model.safetensors.index.json")).toBeUndefined();
    expect(hub.site.requests).toHaveLength(1);
    vi.stubEnv("HF_HUB_OFFLINE", "0");
    hub.site.misbehave("", { cut: 0 });
    expect((await readWhole("spiece.model"))?.equals(FILES["spiece.model"])).toBe(true);
    expect(warnings).toEqual([]);
  });

  it("keeps the part that was read, outside Hugging Face's cache, and works with it alone", async () => {
    hub.publish(ID, FILES);
    const half = 8 * 2 ** 20;
    const read = async () => {
      const files = keptHubFiles(MODEL, options());
      await files.open("config.json");
      const source = (await files.open("model.safetensors"))!;
      const bytes = await source.read(0, half);
      expect(WEIGHTS.subarray(0, half).equals(bytes)).toBe(true);
      await files.close();
    };
    await read();
    // The first answer brings 64 KiB that may come again.
    expect(bytesServed(hub.cdn)).toBeLessThanOrEqual(half + 2 * BLOCK);
    expect(readdirSync(join(model(), "blobs"))).toHaveLength(1);
    const [site, cdn] = [hub.site.requests.length, hub.cdn.requests.length];
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await read();
    expect([hub.site.requests.length, hub.cdn.requests.length]).toEqual([site, cdn]);
  });
});
