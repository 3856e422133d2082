import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { deleteCached, listCached } from "../../../src/node/cache/list.ts";
import { folderFiles } from "../../../src/node/folder.ts";
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

/** A link where the cache will look or write, to a file that is none of its business. */
function plant(path: string, victim = join(home, "victim")): void {
  put(victim, "mine");
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { recursive: true, force: true });
  symlinkSync(victim, path);
}

const unharmed = () => expect(readFileSync(join(home, "victim"), "utf8")).toBe("mine");

describe("a symbolic link that somebody put into the cache", () => {
  it("in the place of a partial file, its journal or its note is not written through", async () => {
    const commit = hub.publish(ID, FILES);
    const places = [
      join(parts(), sha256),
      join(parts(), `${sha256}.journal`),
      join(parts(), "..", commit, "model.safetensors"),
    ];
    for (const place of places) {
      plant(place);
      expect((await read("model.safetensors", "main", 2 ** 20))?.equals(WEIGHTS.subarray(0, 2 ** 20))).toBe(true);
      unharmed();
      rmSync(join(parts(), ".."), { recursive: true });
    }
    expect(warnings.join("\n")).toContain("found a symbolic link, which is not followed here");
  });

  it("in the place of a snapshot's file, a blob, a branch or an absence is not read, nor written through", async () => {
    const commit = hub.publish(ID, FILES);
    plant(model("refs", "main"));
    plant(model(".no_exist", commit, "none.json"));
    plant(model("snapshots", commit, "config.json"));
    plant(model("blobs", sha256));
    expect((await read("config.json"))?.toString()).toBe(FILES["config.json"]);
    expect(await read("none.json")).toBeUndefined();
    await download();
    expect(readFileSync(model("snapshots", commit, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(readlinkSync(model("snapshots", commit, "config.json"))).toMatch(/^\.\.\/\.\.\/blobs\//);
    unharmed();
  });

  it("in the place of a folder leads nowhere", async () => {
    hub.publish(ID, FILES);
    const outside = join(home, "outside");
    mkdirSync(outside);
    for (const place of [model("blobs"), parts()]) {
      mkdirSync(dirname(place), { recursive: true });
      rmSync(place, { recursive: true, force: true });
      symlinkSync(outside, place);
    }
    expect((await read("spiece.model"))?.equals(FILES["spiece.model"])).toBe(true);
    expect(readdirSync(outside)).toEqual([]);
    expect(warnings.join("\n")).toContain("found a link that leads out of it");
  });

  it("in the place of a folder is neither listed nor emptied", async () => {
    const commit = hub.publish(ID, FILES);
    const outside = join(home, "outside");
    const names = ["a--b/file", `parts/${sha256}`, `parts/${sha256}.journal`, `${commit}/model.safetensors`];
    const wrong = `1 ${sha256}\n`;
    for (const name of names) put(join(outside, name), wrong);
    const hubs = join(hubFolder(), "..");
    mkdirSync(join(hubs, "https%3A%ZZ"), { recursive: true });
    for (const place of [join(hubs, encodeURIComponent("https://a.b")), join(hubs, "..", "urls")]) {
      symlinkSync(outside, place);
    }
    expect(await listCached()).toEqual([]);
    await deleteCached();
    for (const name of names) expect(readFileSync(join(outside, name), "utf8")).toBe(wrong);
    // A note there says what the Hub does not: it would be forgotten together with what it names.
    mkdirSync(hubFolder(), { recursive: true });
    symlinkSync(outside, join(parts(), ".."));
    expect((await read("model.safetensors", "main", 100))?.equals(WEIGHTS.subarray(0, 100))).toBe(true);
    for (const name of names) expect(readFileSync(join(outside, name), "utf8")).toBe(wrong);
  });
});

describe("a model's files", () => {
  it("are closed once read but for the weights, and an undisposed model is no matter for a warning", async (context) => {
    if (!existsSync("/proc/self/fd")) return context.skip("no /proc to count descriptors in");
    for (const [name, content] of Object.entries(FILES)) put(join(home, "model", name), content);
    const open = () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith(home);
        } catch {
          return false;
        }
      }).length;
    hub.publish(ID, FILES);
    await download();
    const files = await folderFiles(join(home, "model"));
    for (const name of Object.keys(FILES)) await (await files.open(name))!.read(0, 2);
    expect(open()).toBe(1);
    await files.close();
    expect(open()).toBe(0);
    const script = `
      import { folderFiles } from ${JSON.stringify(fileURLToPath(new URL("../../../src/node/folder.ts", import.meta.url)))};
      await (await folderFiles(process.argv.at(-1))).open("model.safetensors");
      for (let i = 0; i < 5; i++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }`;
    put(join(home, "undisposed.mts"), script);
    const args = ["--expose-gc", "--import", "tsx", join(home, "undisposed.mts"), join(home, "model")];
    const { stderr } = await promisify(execFile)(process.execPath, args);
    expect(stderr).toBe("");
  });
});
