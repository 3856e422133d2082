import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BLOCK } from "../../../src/node/cache/blocks.ts";
import { deleteCached, listCached } from "../../../src/node/cache/list.ts";
import { keptUrlFiles } from "../../../src/node/cache/url-files.ts";
import { bytesServed, type FileServer, serveFiles } from "../../harness/server.ts";
import { pattern } from "../../long/interrupt.ts";

const WEIGHTS = pattern(17 * 2 ** 20 + 321, 5);

let server: FileServer;
let home = "";
let warnings: string[] = [];
beforeEach(async () => {
  server = await serveFiles({ "m/config.json": "{}", "m/model.safetensors": WEIGHTS });
  home = mkdtempSync(join(tmpdir(), "siglip-url-"));
  vi.stubEnv("XDG_CACHE_HOME", home);
  vi.stubEnv("TMPDIR", home);
  warnings = [];
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

const open = () => keptUrlFiles(new URL("m", server.url), { pause: 1, onWarning: (message) => warnings.push(message) });

async function read(name: string, offset: number, length: number): Promise<Buffer> {
  const files = open();
  try {
    return Buffer.from(await (await files.open(name))!.read(offset, length));
  } finally {
    await files.close();
  }
}

const same = (bytes: Buffer, offset: number, content = WEIGHTS) =>
  expect(content.subarray(offset, offset + bytes.length).equals(bytes)).toBe(true);

const kept = () => {
  const [folder] = readdirSync(join(home, "siglip", "urls"));
  return readdirSync(join(home, "siglip", "urls", folder, "parts")).length;
};

describe("a model under a URL", () => {
  it("is kept as it is read, and needs its server no more for that", async () => {
    same(await read("model.safetensors", 2 ** 20, 2 ** 20), 2 ** 20);
    // The first answer brings 64 KiB.
    expect(bytesServed(server)).toBe(2 ** 20 + BLOCK);
    same(await read("model.safetensors", 2 ** 20 + 5, 2 ** 19), 2 ** 20 + 5);
    expect(bytesServed(server)).toBe(2 ** 20 + 2 * BLOCK);
    server.misbehave("", { cut: 0 });
    same(await read("model.safetensors", 2 ** 20, 2 ** 20), 2 ** 20);
    await expect(read("model.safetensors", 0, 2 ** 20)).rejects.toThrow(/^http\S+: wanted .*\.$/);
    await expect(read("config.json", 0, 2)).rejects.toThrow(/^http\S+: wanted .*\.$/);
    expect(warnings).toEqual([]);
  });

  it("lacks without its server what it lacked before, and nothing else", async () => {
    const named = (names: readonly string[]) => {
      const files = open();
      return Promise.allSettled(names.map((name) => files.open(name))).finally(() => files.close());
    };
    await named(["tokenizer.json"]);
    expect(existsSync(join(home, "siglip"))).toBe(false);
    await named(["tokenizer.json", "config.json"]);
    for (const name of ["tokenizer.json", "spiece.model"]) server.files.set(`m/${name}`, { content: "[]" });
    server.misbehave("", { cut: 0 });
    const [absent, there, unknown] = await named(["tokenizer.json", "config.json", "spiece.model"]);
    expect(absent).toEqual({ status: "fulfilled", value: undefined });
    expect(there).toMatchObject({ status: "fulfilled", value: { size: 2 } });
    expect(unknown.status).toBe("rejected");
    server.behave();
    expect(await named(["tokenizer.json"])).toMatchObject([{ value: { size: 2 } }]);
  });

  it("that has changed is fetched anew, and the former forgotten", async () => {
    await read("model.safetensors", 0, 2 ** 20);
    expect(kept()).toBe(2);
    const changed = pattern(WEIGHTS.length, 6);
    server.files.set("m/model.safetensors", { content: changed });
    same(await read("model.safetensors", 1000, 2 ** 20), 1000, changed);
    expect(kept()).toBe(2);
  });

  it("is not taken for another whose long URL begins alike", async () => {
    const long = (end: string) => new URL(`${"long/".repeat(40)}${end}`, server.url);
    const config = async (end: string) => {
      const files = keptUrlFiles(long(end), { pause: 1 });
      try {
        const source = (await files.open("config.json"))!;
        return Buffer.from(await source.read(0, source.size)).toString();
      } finally {
        await files.close();
      }
    };
    for (const end of ["a", "b"]) server.files.set(`${"long/".repeat(40)}${end}/config.json`, { content: `"${end}"` });
    expect(await config("a")).toBe('"a"');
    server.misbehave("", { cut: 0 });
    expect(await config("a")).toBe('"a"');
    await expect(config("b")).rejects.toThrow(/wanted a file of the model, found/);
  });

  it("stays kept when somebody else answers for its server, or it is gone from there", async () => {
    await read("model.safetensors", 0, 2 ** 20);
    const page = { content: "<html>", headers: { "Content-Type": "text/html" } };
    for (const entry of [page, { content: "", status: 404 }]) {
      server.misbehave("", { entry }, 1);
      const files = open();
      expect(await files.open("model.safetensors")).toBeUndefined();
      await files.close();
    }
    server.misbehave("", { cut: 0 });
    same(await read("model.safetensors", 0, 2 ** 20), 0);
  });

  it("that changes while it is read is refused, never mixed", async () => {
    const files = open();
    const source = (await files.open("model.safetensors"))!;
    same(Buffer.from(await source.read(0, 2 ** 20)), 0);
    server.files.set("m/model.safetensors", { content: pattern(WEIGHTS.length, 6) });
    same(Buffer.from(await source.read(0, 2 ** 20)), 0);
    await expect(source.read(2 ** 20, 2 ** 20)).rejects.toThrow(/load it again, since it changed on the server\.$/);
    await files.close();
  });

  it("is completed where it lies", async () => {
    await read("model.safetensors", 2 ** 21, 2 ** 21);
    const files = open();
    await files.open("model.safetensors");
    const [{ name, size, path }] = await files.complete();
    expect([name, size, existsSync(path)]).toEqual(["model.safetensors", WEIGHTS.length, true]);
    await files.close();
    expect(bytesServed(server)).toBeLessThanOrEqual(WEIGHTS.length + 3 * BLOCK);
    server.misbehave("", { cut: 0 });
    same(await read("model.safetensors", 0, WEIGHTS.length), 0);
  });

  it("without a strong validator is not kept: read by range, or from a temporary file until it is closed", async () => {
    server.misbehave("", { headers: { ETag: 'W/"1"' } });
    same(await read("model.safetensors", 2 ** 20, 100), 2 ** 20);
    expect(existsSync(join(home, "siglip"))).toBe(false);
    server.misbehave("", { headers: { ETag: 'W/"1"' }, ranges: false });
    const files = open();
    const source = (await files.open("model.safetensors"))!;
    for (const at of [2 ** 24, 2 ** 20]) same(Buffer.from(await source.read(at, 1000)), at);
    await files.close();
    expect(readdirSync(home)).toEqual([]);
    // Two for the range, one to see that there are none any more, one for the whole, which is read from twice.
    expect(server.requests).toHaveLength(4);
  });

  it("without a strong validator is downloaded as a whole, which serves as long as the weak one is the same", async () => {
    const weak = (tag: string) => server.misbehave("", { headers: { ETag: tag } });
    for (const ranges of [true, false]) {
      weak('W/"1"');
      if (!ranges) server.misbehave("", { headers: { ETag: 'W/"1"' }, ranges: false });
      rmSync(join(home, "siglip"), { recursive: true, force: true });
      const files = open();
      for (const name of ["config.json", "model.safetensors"]) await files.open(name);
      const complete = await files.complete();
      await files.close();
      expect(files.version).toBeUndefined();
      expect(readFileSync(complete[1].path).equals(WEIGHTS)).toBe(true);
      const from = server.requests.length;
      same(await read("model.safetensors", 0, WEIGHTS.length), 0);
      expect(bytesServed(server, from)).toBeLessThanOrEqual(ranges ? BLOCK : WEIGHTS.length / 2);
      server.misbehave("", { cut: 0 });
      same(await read("model.safetensors", 0, WEIGHTS.length), 0);
      server.behave();
    }
    const changed = pattern(WEIGHTS.length, 6);
    server.files.set("m/model.safetensors", { content: changed });
    weak('W/"2"');
    same(await read("model.safetensors", 2 ** 20, 100), 2 ** 20, changed);
  });

  it("has each file by itself, whatever validator several share", async () => {
    for (const headers of [{ ETag: '"1"' }, { ETag: 'W/"1"' }]) {
      server.behave();
      for (const [path, { content }] of server.files) server.files.set(path, { content, headers });
      const files = open();
      for (const name of ["config.json", "model.safetensors"]) await files.open(name);
      const complete = await files.complete();
      await files.close();
      expect(complete.map(({ path }) => statSync(path).size)).toEqual(complete.map(({ size }) => size));
      expect((await listCached()).map(({ complete }) => complete)).toEqual([true]);
      server.misbehave("", { cut: 0 });
      same(await read("model.safetensors", 0, 2 ** 20), 0);
      expect((await read("config.json", 0, 2)).toString()).toBe("{}");
      expect(warnings).toEqual([]);
      await deleteCached();
    }
  });

  it("without ranges is sent once, and kept", async () => {
    server.misbehave("", { ranges: false });
    same(await read("model.safetensors", 2 ** 23, 100), 2 ** 23);
    same(await read("model.safetensors", 0, 2 ** 20), 0);
    // Each load asks what the file is by now, and leaves the answer.
    expect(server.requests).toHaveLength(3);
    server.misbehave("", { cut: 0 });
    same(await read("model.safetensors", 0, WEIGHTS.length), 0);
  });
});
