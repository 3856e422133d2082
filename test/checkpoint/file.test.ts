import { execFileSync } from "node:child_process";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { fileSource, writeFileAtomic } from "../../src/node/file.ts";
import { SiglipError } from "../../src/support/error.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "siglip-file-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(/^[^\n]+\.$/);
  return error.message;
}

describe("fileSource", () => {
  it("reads ranges", async () => {
    const path = join(folder, "ranges");
    await writeFile(path, new Uint8Array([0, 1, 2, 3, 4]));
    const source = await fileSource(path);
    onTestFinished(() => source.close());
    expect([source.name, source.size]).toEqual([path, 5]);
    expect(await source.read(1, 3)).toEqual(new Uint8Array([1, 2, 3]));
    expect(await source.read(5, 0)).toEqual(new Uint8Array(0));
    const room = new Uint8Array(3);
    expect(await source.read(2, 3, undefined, room)).toBe(room);
    expect(room).toEqual(new Uint8Array([2, 3, 4]));
    const parts = await Promise.all([source.read(0, 2), source.read(3, 2)]);
    expect(parts).toEqual([new Uint8Array([0, 1]), new Uint8Array([3, 4])]);
    for (const [offset, length] of [
      [0, 6],
      [5, 1],
      [-1, 1],
      [0, 2 ** 52],
      [Number.NaN, 1],
    ]) {
      expect(await refusal(source.read(offset, length))).toContain("a file of 5");
    }
    await expect(source.read(0, 1, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
  });

  it("tells of a file that has shrunk and of one that was closed", async () => {
    const path = join(folder, "shrinking");
    await writeFile(path, new Uint8Array(100));
    const source = await fileSource(path);
    await truncate(path, 40);
    expect(await source.read(0, 40)).toHaveLength(40);
    expect(await refusal(source.read(30, 20))).toContain("shrunk");
    await source.close();
    await source.close();
    expect(await refusal(source.read(0, 1))).toContain("closed");
  });

  it("refuses what is no regular file", async () => {
    expect(await refusal(fileSource(join(folder, "missing")))).toContain("no such file");
    expect(await refusal(fileSource(folder))).toContain("a regular file");
    expect(await refusal(fileSource(`${folder}\0`))).toContain("wanted to read");
    await writeFile(join(folder, "plain"), "");
    expect(await refusal(fileSource(join(folder, "plain", "x")))).toContain("no folder");
  });

  it("refuses a pipe without waiting for it", async (context) => {
    if (process.platform === "win32") return context.skip("Windows has no named pipes in folders");
    execFileSync("mkfifo", [join(folder, "pipe")]);
    expect(await refusal(fileSource(join(folder, "pipe")))).toContain("a regular file");
    expect(await refusal(fileSource("/dev/zero"))).toContain("a regular file");
  });

  it("tells of a file that may not be read", async (context) => {
    if (process.platform === "win32" || process.getuid?.() === 0) return context.skip("root and Windows may read it");
    const path = join(folder, "forbidden");
    await writeFile(path, "");
    await chmod(path, 0);
    expect(await refusal(fileSource(path))).toContain("permissions");
  });
});

describe("writeFileAtomic", () => {
  const text = (path: string) => readFile(path, "utf8");
  const bytes = (content: string) => new TextEncoder().encode(content);

  it("writes and replaces", async () => {
    const path = join(folder, "out");
    await writeFileAtomic(path, [bytes("first "), bytes("part")]);
    expect(await text(path)).toBe("first part");
    await writeFileAtomic(path, []);
    expect(await text(path)).toBe("");
  });

  it("writes through a link, and leaves it one", async (context) => {
    if (process.platform === "win32") return context.skip("Windows makes links for administrators only");
    await writeFile(join(folder, "linked"), "old");
    await symlink("linked", join(folder, "link"));
    await writeFileAtomic(join(folder, "link"), [bytes("new")]);
    expect(await text(join(folder, "linked"))).toBe("new");
    // Through links in other folders, to what is not there yet.
    await mkdir(join(folder, "far"));
    await symlink("far", join(folder, "near"));
    await symlink("../fresh", join(folder, "far", "relative"));
    await writeFileAtomic(join(folder, "near", "relative"), [bytes("made")]);
    expect(await text(join(folder, "fresh"))).toBe("made");
    expect(await readlink(join(folder, "far", "relative"))).toBe("../fresh");
    await symlink("circle", join(folder, "circle"));
    expect(await refusal(writeFileAtomic(join(folder, "circle"), []))).toContain("leads in a circle");
  });

  it("keeps the mode of a file that was there", async (context) => {
    if (process.platform === "win32") return context.skip("Windows has no modes");
    const path = join(folder, "mode");
    await writeFile(path, "old");
    for (const mode of [0o600, 0o664, 0o755]) {
      await chmod(path, mode);
      await writeFileAtomic(path, [bytes("new")]);
      expect((await stat(path)).mode & 0o7777).toBe(mode);
    }
  });

  it("takes every name that the file system takes", async () => {
    for (const name of ["n".repeat(255), "名".repeat(85), ".hidden", "a b\n'\"$"]) {
      if (process.platform === "win32" && /\n/.test(name)) continue;
      await writeFileAtomic(join(folder, name), [bytes(name)]);
      expect(await text(join(folder, name))).toBe(name);
    }
  });

  it("leaves the old file and nothing else when the chunks fail or the signal aborts", async () => {
    const inner = join(folder, "inner");
    await mkdir(inner);
    const path = join(inner, "kept");
    await writeFile(path, "old");
    const abort = new AbortController();
    const chunks = async function* (then: () => void) {
      yield bytes("new");
      then();
      yield bytes("newer");
    };
    const broken = chunks(() => {
      throw new RangeError("of the chunks");
    });
    await expect(writeFileAtomic(path, broken)).rejects.toThrow(RangeError);
    await expect(
      writeFileAtomic(
        path,
        chunks(() => abort.abort()),
        abort.signal,
      ),
    ).rejects.toMatchObject({ name: "AbortError" });
    await expect(writeFileAtomic(path, [], AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
    expect(await text(path)).toBe("old");
    expect(await readdir(inner)).toEqual(["kept"]);
  });

  it("refuses folders, devices and folders that are not there", async (context) => {
    expect(await refusal(writeFileAtomic(folder, []))).toContain("a regular file");
    expect(await refusal(writeFileAtomic(join(folder, "no", "such"), []))).toContain("no such file or folder");
    if (process.platform === "win32") return context.skip("Windows has no /dev/null");
    expect(await refusal(writeFileAtomic("/dev/null", []))).toContain("a device");
  });
});
