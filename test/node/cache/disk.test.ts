import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Descriptor } from "../../../src/node/descriptor.ts";
import {
  download,
  FILES,
  home,
  hub,
  hubFolder,
  ID,
  model,
  parts,
  put,
  read,
  sha256,
  useHubCaches,
  WEIGHTS,
  warnings,
} from "../../harness/hub-caches.ts";

useHubCaches();

// What file systems refuse, as if this one did; named imports of Node's own modules follow what the modules hold.
const refused = new Map<string, string>();
const real = { symlink: files.symlink, link: files.link, mkdir: files.mkdir };
beforeAll(() => {
  for (const name of ["symlink", "link"] as const) {
    files[name] = async (...paths: Parameters<typeof files.link>) => {
      const code = refused.get(name);
      if (code) throw Object.assign(new Error(code), { code });
      return real[name](...paths);
    };
  }
  const { mkdir } = real;
  files.mkdir = (async (...args: Parameters<typeof mkdir>) => {
    const code = refused.get("mkdir");
    if (code) throw Object.assign(new Error(code), { code });
    return mkdir(...args);
  }) as typeof mkdir;
  syncBuiltinESMExports();
});
afterAll(() => {
  Object.assign(files, real);
  syncBuiltinESMExports();
});
beforeEach(() => refused.clear());

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

  it("that is full is told of in one sentence, and gone on without", async () => {
    hub.publish(ID, FILES);
    await read("model.safetensors", "main", 4 * 2 ** 20);
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const write = vi.spyOn(Descriptor.prototype, "write").mockRejectedValue(full);
    const place = join(parts(), sha256);
    const why = `${place}: wanted to write this file, found no space left on the disk; free some and try again.`;
    expect((await read("model.safetensors"))?.equals(WEIGHTS)).toBe(true);
    expect(warnings.splice(0)).toEqual([`What is missing of the model is fetched whenever it is loaded, since ${why}`]);
    await expect(download()).rejects.toThrow("wanted to write this file, found no space left on the disk");
    // Small files too, which are fetched whole when they are opened.
    rmSync(model(), { recursive: true });
    rmSync(hubFolder(), { recursive: true });
    expect((await read("spiece.model"))?.equals(FILES["spiece.model"])).toBe(true);
    expect(warnings.splice(0).join()).toContain("found no space left on the disk");
    write.mockRestore();
    await read("model.safetensors", "main", 4 * 2 ** 20);
    hub.cdn.requests.length = 0;
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
    await expect(download()).rejects.toThrow(/wanted to write this file, found a part of the path/);
    hub.cdn.misbehave("", { ranges: false });
    expect((await read("model.safetensors", "main", 2 ** 20))?.equals(WEIGHTS.subarray(0, 2 ** 20))).toBe(true);
  });

  it("that is read-only, or not for this user, is told of by that reason", async () => {
    hub.publish(ID, FILES);
    for (const [code, reason] of [
      ["EROFS", "a read-only file system"],
      ["EACCES", "that its permissions forbid it"],
    ]) {
      refused.set("mkdir", code);
      expect((await read("model.safetensors", "main", 2 ** 20))?.equals(WEIGHTS.subarray(0, 2 ** 20))).toBe(true);
      expect((await read("spiece.model"))?.equals(FILES["spiece.model"])).toBe(true);
      expect(warnings.splice(0).join()).toContain(`wanted to write this file, found ${reason}; check the path`);
    }
    refused.clear();
    expect((await read("model.safetensors", "main", 2 ** 20))?.equals(WEIGHTS.subarray(0, 2 ** 20))).toBe(true);
    expect(warnings).toEqual([]);
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
