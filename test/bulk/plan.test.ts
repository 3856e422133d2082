import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePlan } from "../../src/bulk/plan.ts";
import { openSources, type SourceOptions } from "../../src/bulk/sources/open.ts";
import { siglip } from "../harness/cli.ts";
import { tar } from "../harness/tar.ts";

const folder = mkdtempSync(join(tmpdir(), "siglip-plan-"));
const at = (name: string) => join(folder, name);
const manifest = at("manifest.jsonl");
afterAll(() => rmSync(folder, { recursive: true }));

const WORDS = [at("photos"), at("web.tar"), at("texts.jsonl"), "https://example.org/a.png"];

beforeAll(() => {
  mkdirSync(at("photos"));
  for (let index = 10; index < 20; index++) writeFileSync(at(`photos/${index}.jpg`), `P${index}`);
  writeFileSync(
    at("web.tar"),
    tar([
      { name: "0.jpg", content: "J0" },
      { name: "0.txt", content: "in\na tar" },
    ]),
  );
  writeFileSync(at("texts.jsonl"), '"a cat 猫"\n"\\ud800"\n{"what": 1}\n');
});

async function read(words: string[], options?: SourceOptions): Promise<string[][]> {
  const found: string[][] = [];
  for await (const { kind, name, stamp, load } of await openSources(words, options)) {
    const loaded = await load().then(
      (one) => (one instanceof Blob ? one.text() : String(one)),
      (error: Error) => `! ${error.message}`,
    );
    found.push([kind, name, stamp, loaded]);
  }
  return found;
}
async function make(perShard: number, words = WORDS) {
  const problems: string[] = [];
  const planned = await writePlan(await openSources(words), manifest, {
    perShard,
    onProblem: ({ message }) => problems.push(message),
  });
  return { ...planned, problems };
}

describe("a plan", () => {
  it("gives what its source gives, in shards of a size", async () => {
    const { problems, ...planned } = await make(4);
    expect(planned).toEqual({ images: 12, texts: 3, shards: 4 });
    expect(problems).toEqual([expect.stringMatching(/texts\.jsonl:3: wanted a string/)]);
    const all = (await read(WORDS)).filter(([, , , loaded]) => !loaded.startsWith("! "));
    expect(await read([manifest])).toEqual(all);
    const shards = await Promise.all([0, 1, 2, 3].map((index) => read([manifest], { shard: { index } })));
    expect(shards.flat()).toEqual(all);
    expect(shards.map(({ length }) => length)).toEqual([4, 4, 4, 3]);
    expect(await read([manifest], { shard: { index: 3, count: 4 } })).toEqual(shards[3]);
    const opened = await openSources([manifest], { shard: { index: 3 } });
    expect([opened.shard, await opened.count()]).toEqual([{ index: 3, count: 4 }, 3]);
    expect(await (await openSources([manifest])).count()).toBe(15);
  });

  it("is split in no other way than it was planned in", async () => {
    await make(4);
    const open = (words: string[], index: number, count?: number) => openSources(words, { shard: { index, count } });
    await expect(open([manifest], 0, 5)).rejects.toThrow(/0\/4 to 3\/4, found 0\/5; name one of them/);
    await expect(open([manifest], 4)).rejects.toThrow(/found 4\/4/);
    await expect(open([manifest, at("photos")], 0)).rejects.toThrow(/wanted i\/n, or i of one manifest/);
    await make(15);
    expect((await read([manifest], { shard: { index: 0, count: 1 } })).length).toBe(15);
  });

  it("refuses pictures that have changed since", async () => {
    writeFileSync(at("photos/z.jpg"), "before");
    await make(100, [at("photos")]);
    writeFileSync(at("photos/z.jpg"), "after it");
    const rows = await read([manifest]);
    expect(rows.at(-1)![3]).toMatch(/z\.jpg: wanted the file as it was planned .*; plan again\.$/);
    expect(rows.filter(([, , , loaded]) => loaded.startsWith("!")).length).toBe(1);
    rmSync(at("photos/z.jpg"));
    expect((await read([manifest])).at(-1)![3]).toMatch(/found none; plan again/);
  });

  it("that is damaged anywhere is refused", async () => {
    await make(3);
    const whole = readFileSync(manifest);
    const whole1 = whole.toString();
    const index = whole1.lastIndexOf('{"images"');
    for (let at = 21; at < whole.length; at += 97) {
      const bad = Buffer.from(whole);
      bad[at] ^= 1;
      writeFileSync(manifest, bad);
      await expect(read([manifest]), `byte ${at} of ${whole.length}, index at ${index}`).rejects.toThrow(
        /manifest\.jsonl: wanted a manifest (as siglip plan has written it|of version 1), found .*plan again/,
      );
    }
    for (const length of [40, 300, index, whole.length - 1]) {
      writeFileSync(manifest, whole.subarray(0, length));
      await expect(read([manifest])).rejects.toThrow(/found no index at its end|of version 1/);
    }
    writeFileSync(manifest, Buffer.concat([whole.subarray(0, index - 20), whole.subarray(index)]));
    await expect(read([manifest])).rejects.toThrow(/wanted a manifest as/);
  });

  it("is not made of nothing, nor of what cannot be found again", async () => {
    writeFileSync(at("none.txt"), "");
    await expect(make(3, [at("none.txt")])).rejects.toThrow(/wanted something to plan, found nothing/);
    writeFileSync(at("web.tar.gz"), gzipSync(tar([{ name: "0.jpg", content: "J0" }])));
    await expect(make(3, [at("web.tar.gz")])).rejects.toThrow(
      /a picture with a place to be read from, found one in an/,
    );
  });

  it("is a command", async () => {
    const command = (...args: string[]) => siglip(["plan", ...args]);
    const { code, stdout, stderr } = await command(
      at("photos"),
      at("texts.jsonl"),
      "--out",
      manifest,
      "--per-shard",
      "5",
    );
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringMatching(/manifest\.jsonl: 3 shards of up to 5: 10 images and 2 texts, in .*\.\n$/),
    });
    expect(stderr).toMatch(/^siglip: .*texts\.jsonl:3: wanted .*\nsiglip: .*wanted all that was named, found .*\n$/);
  });
});
