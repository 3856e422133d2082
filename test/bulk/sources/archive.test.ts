import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import type { Entry } from "../../../src/bulk/entry.ts";
import { openSources, type SourceOptions } from "../../../src/bulk/sources/open.ts";
import { serveFiles } from "../../harness/server.ts";
import { paxRecord, type TarMember, tar, tarMember } from "../../harness/tar.ts";

const folder = mkdtempSync(join(tmpdir(), "siglip-archive-"));
afterAll(() => rmSync(folder, { recursive: true }));

function put(name: string, content: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  utimesSync(path, 2e9, 2e9);
  return path;
}

/** What a source gives, with what is loaded from it, and what it reports. */
async function read(word: string, options?: SourceOptions) {
  const problems: string[] = [];
  const found: (Pick<Entry, "kind" | "name"> & { content: string; stamp: string })[] = [];
  const onProblem = (error: Error) => problems.push(error.message);
  for await (const { kind, name, stamp, load } of await openSources([word], { ...options, onProblem })) {
    const content = await load().then(contentOf, (error: Error) => `! ${error.message}`);
    found.push({ kind, name: name.replace(/^.*tar(\.gz)?\//, ""), stamp, content });
  }
  return { found, problems };
}
const contentOf = (loaded: unknown) => (loaded instanceof Blob ? loaded.text() : String(loaded));

const WEB: readonly TarMember[] = [
  { name: "./000.jpg", content: "J0" },
  { name: "./000.txt", content: "a cat\n" },
  { name: "./000.json", content: '{"caption": "a cat", "text": "one cat", "width": 3}' },
  { name: "001.json", content: '{"caption": "a dog"}' },
  { name: "001.cls", content: "7" },
  { name: "001.png", content: "P1" },
  { name: "readme.txt", content: "no picture here" },
  { name: "._001.png", content: "x" },
  { name: "../../etc/002.seg.webp", content: "W2" },
  { name: "../../etc/002.txt", content: "" },
];
const FOUND = [
  ["image", "000.jpg", "J0"],
  ["text", "a cat", "a cat"],
  ["text", "one cat", "one cat"],
  ["image", "001.png", "P1"],
  ["text", "a dog", "a dog"],
  ["image", "../../etc/002.seg.webp", "W2"],
];
const shown = ({ found }: Awaited<ReturnType<typeof read>>) =>
  found.map(({ kind, name, content }) => [kind, name, content]);

describe("a tar archive", () => {
  it("gives pictures and the texts beside them", async () => {
    const read1 = await read(put("web.tar", tar(WEB)));
    expect(shown(read1)).toEqual(FOUND);
    expect(read1.problems).toEqual([]);
    expect(read1.found[0].stamp).toBe("2-1000000000 in 10752-2000000000000");
    expect(read1.found[1].stamp).toBe("");
  });

  it("may be gzipped, and lie on a server", async () => {
    const zipped = gzipSync(tar(WEB));
    expect(shown(await read(put("web.tar.gz", zipped)))).toEqual(FOUND);
    await using server = await serveFiles();
    server.files.set("web.tar", { content: tar(WEB), headers: { ETag: '"one"' } });
    server.files.set("web.tar.gz", { content: zipped });
    const { found } = await read(`${server.url}web.tar?signature=x`);
    expect(shown({ found, problems: [] })).toEqual(FOUND);
    expect(found[0].stamp).toBe('2-1000000000 in "one"');
    expect(shown(await read(`${server.url}web.tar.gz`))).toEqual(FOUND);
    await expect(read(`${server.url}none.tar`)).rejects.toThrow(/wanted a tar archive, found no such file/);
  });

  it("may be one of many that fit a pattern", async () => {
    mkdirSync(join(folder, "many"), { recursive: true });
    for (const number of [1, 2]) put(`many/${number}.tar.gz`, gzipSync(tar([{ name: `${number}.jpg`, content: "J" }])));
    const { found, problems } = await read(join(folder, "many/*.tar.gz"));
    expect([found.map(({ name }) => name), problems]).toEqual([["1.jpg", "2.jpg"], []]);
  });

  it("is split into shards", async () => {
    const path = put("shards.tar", tar(WEB));
    const parts = await Promise.all([0, 1, 2].map((index) => read(path, { shard: { index, count: 3 } })));
    expect(parts.flatMap(shown).sort()).toEqual([...FOUND].sort());
  });

  it("may have long names and sizes in the ways of pax and of GNU", async () => {
    const long = `${"d/".repeat(90)}猫.png`;
    const path = put(
      "long.tar",
      tar([
        { type: "g", name: "g", content: paxRecord("mtime", "5.25") },
        { type: "x", name: "x", content: paxRecord("path", long) + paxRecord("size", "2") + paxRecord("mtime", "7.5") },
        { name: "short.png", content: "P0", size: "00000000000\0" },
        { type: "L", name: "././@LongLink", content: `${long}\0` },
        { name: "short.png", content: "P1", size: "\x80\0\0\0\0\0\0\0\0\0\0\x02" },
        { type: "x", name: "x", content: paxRecord("GNU.sparse.major", "1") },
        { name: "sparse.png", content: "P" },
        { type: "5", name: "folder.png/", content: "" },
        { type: "2", name: "link.png", content: "" },
        { name: "last.png", content: "P2" },
      ]),
    );
    const { found, problems } = await read(path);
    expect(problems).toEqual([]);
    expect(found.map(({ name, content }) => [name, content])).toEqual([
      [long, "P0"],
      [long, "P1"],
      ["last.png", "P2"],
    ]);
    expect(found.map(({ stamp }) => stamp.replace(/ .*/, ""))).toEqual(["2-7.5", "2-5.25", "2-5.25"]);
  });

  it.each(["v7", "ustar", "pax", "gnu"])("of GNU tar in the format %s is read", async (format) => {
    const inside = join(folder, `made-${format}`);
    const deep = format === "v7" ? "deep" : `${"deep/".repeat(22)}end`;
    mkdirSync(join(inside, deep), { recursive: true });
    writeFileSync(join(inside, deep, "a.png"), "P");
    writeFileSync(join(inside, "a b.png"), "Q".repeat(1000));
    const made = join(folder, `${format}.tar`);
    try {
      execFileSync("tar", ["-C", inside, `--format=${format}`, "--sort=name", "-cf", made, "."], { stdio: "ignore" });
    } catch {
      return; // no GNU tar here
    }
    const { found, problems } = await read(made);
    expect(problems).toEqual([]);
    expect(found.map(({ name }) => name).sort()).toEqual(["a b.png", `${deep}/a.png`]);
  });

  it("counts up to where it is cut or damaged", async () => {
    const whole = tar([
      { name: "a.jpg", content: "A" },
      { name: "b.jpg", content: "B".repeat(600) },
    ]);
    const of = async (content: Uint8Array, name = "bad.tar") => {
      const { found, problems } = await read(put(name, content));
      return [found.map(({ name, content }) => (content.startsWith("!") ? content : name)), problems];
    };
    for (const length of [1024, 1024 + 512 + 1024, whole.length]) {
      const names = length === 1024 ? ["a.jpg"] : ["a.jpg", "b.jpg"];
      expect(await of(whole.subarray(0, length))).toEqual([names, []]);
    }
    for (const length of [1300, 1024 + 512 + 599]) {
      const message = expect.stringMatching(
        `bad\\.tar: wanted all of the member at byte 1024, found an end after ${length} bytes; .*\\.$`,
      );
      expect(await of(whole.subarray(0, length))).toEqual([["a.jpg"], [message]]);
    }
    const flipped = new Uint8Array(whole);
    flipped[1024 + 3] ^= 1;
    expect(await of(flipped)).toEqual([["a.jpg"], [expect.stringMatching(/byte 1024, found a header whose checksum/)]]);
    const huge = Buffer.concat([
      tarMember({ name: "a.jpg", content: "A" }),
      tarMember({ name: "b.jpg", content: "B", size: `\x80${"\0".repeat(4)}\x0f${"\xff".repeat(6)}` }),
    ]);
    expect(await of(huge)).toEqual([["a.jpg"], [expect.stringMatching(/all of the member at byte 1024/)]]);
    const name = Buffer.concat([tarMember({ type: "L", name: "L", content: "", size: "77777777777\0" })]);
    expect(await of(name)).toEqual([[], [expect.stringMatching(/found a name or other record of 8589934591 bytes/)]]);
    const zipped = gzipSync(whole);
    const [, problems] = await of(zipped.subarray(0, zipped.length - 30), "cut.tar.gz");
    expect(problems).toEqual([expect.stringMatching(/wanted a sound gzip file, found unexpected end of file/)]);
    expect((await of(Buffer.from("no gzip"), "none.tar.gz"))[1]).toEqual([expect.stringMatching(/incorrect header/)]);
  });

  it("holds few texts that wait for a picture", async () => {
    const texts = Array.from({ length: 6 }, (_, index) => ({
      name: `a.${index}.txt`,
      content: `${index}`.repeat(1e6),
    }));
    const { found, problems } = await read(put("waiting.tar", tar([...texts, { name: "a.png", content: "P" }])));
    expect(found.map(({ name }) => name.slice(0, 1))).toEqual(["a", "0", "1", "2", "3"]);
    expect(problems).toEqual(
      [4, 5].map((index) => expect.stringMatching(`a\\.${index}\\.txt: wanted texts of at most 4194304`)),
    );
  });

  it("reports a text that cannot be read, and loads nothing from one that has changed since", async () => {
    const members = [
      { name: "a.jpg", content: "A" },
      { name: "a.json", content: "{" },
      { name: "a.txt", content: Uint8Array.of(0xff) },
      { name: "a.b.txt", content: "x".repeat(2 ** 20 + 1) },
    ];
    const path = put("texts.tar", tar(members));
    const { found, problems } = await read(path);
    expect(found.length).toBe(1);
    expect(problems).toEqual([
      expect.stringMatching(/a\.json: wanted JSON/),
      expect.stringMatching(/a\.txt: wanted text in UTF-8/),
      expect.stringMatching(/a\.b\.txt: wanted a text of at most 1048576 bytes/),
    ]);
    for await (const entry of await openSources([path])) {
      truncateSync(path, 1024);
      await expect(entry.load()).rejects.toThrow(/wanted the archive as it was .*; start again with it\./);
    }
  });
});
