import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Entry } from "../../../src/bulk/entry.ts";
import { openSources, type SourceOptions } from "../../../src/bulk/sources/open.ts";

const folder = mkdtempSync(join(tmpdir(), "siglip-sources-"));
const at = (name: string) => join(folder, name);
const here = process.cwd();

function put(name: string, content: string | Uint8Array = name): void {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
}

beforeAll(() => {
  for (const name of ["b.jpg", "a.JPG", "B.png", "z/1.webp", "z/y/2.tiff", "z.gif", "no.md", "also.txt"]) {
    put(`photos/${name}`);
  }
  for (const name of [".hidden.jpg", ".siglip-1.tmp", ".git/a.jpg", "@eaDir/a.jpg", "z/__MACOSX/a.jpg"]) {
    put(`photos/${name}`);
  }
  put("empty/no.md");
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(here);
  rmSync(folder, { recursive: true });
});

async function entries(words: string[], options?: SourceOptions): Promise<Entry[]> {
  const found: Entry[] = [];
  for await (const entry of await openSources(words, options)) found.push(entry);
  return found;
}
const names = async (words: string[], options?: SourceOptions) =>
  (await entries(words, options)).map(({ name }) => name);

async function* pieces(text: string, size = 5): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

const ALL = ["B.png", "a.JPG", "b.jpg", "z/1.webp", "z/y/2.tiff", "z.gif"];

describe("a folder", () => {
  it("gives its pictures in the order of code units, whatever way it is written", async () => {
    const whole = ALL.map((name) => `photos/${name}`);
    for (const word of ["photos", "photos/", "./photos", "photos/.", "photos//"]) {
      expect(await names([word])).toEqual(whole);
    }
    expect(await names(["."])).toEqual(whole);
    expect(await names([at("photos")])).toEqual(whole.map(at));
    expect(await (await openSources(["photos", "photos/b.jpg"])).count()).toBe(7);
  });

  it("stamps a file with its size and time", async () => {
    utimesSync(at("photos/b.jpg"), 1e9, 1e9);
    const [, , { kind, stamp, load }] = await entries(["photos"]);
    expect({ kind, stamp }).toEqual({ kind: "image", stamp: "12-1000000000000" });
    expect(await load()).toBe("photos/b.jpg");
  });

  it("is split into shards that have each picture once", async () => {
    const shards = await Promise.all([0, 1, 2].map((index) => names(["photos"], { shard: { index, count: 3 } })));
    expect(shards.flat().sort()).toEqual(ALL.map((name) => `photos/${name}`).sort());
    const source = await openSources(["photos"], { shard: { index: 0, count: 3 } });
    expect(await source.count()).toBe(shards[0].length);
    await expect(openSources(["photos"], { shard: { index: 0 } })).rejects.toThrow(/of how many/);
  });

  it("is refused where no picture is in it", async () => {
    await expect(openSources(["empty"])).rejects.toThrow(/^empty: wanted pictures in this folder, found none/);
  });

  it("follows links, but not in circles, and names a link to nothing when it is loaded", async () => {
    put("linked/in/a.jpg");
    symlinkSync("..", at("linked/in/up"));
    symlinkSync(".", at("linked/self"));
    symlinkSync(at("photos/z"), at("linked/other"));
    symlinkSync("nowhere.jpg", at("linked/gone.jpg"));
    symlinkSync("nowhere", at("linked/gone"));
    expect(await names(["linked"])).toEqual([
      "linked/gone.jpg",
      "linked/in/a.jpg",
      "linked/other/1.webp",
      "linked/other/y/2.tiff",
    ]);
  });
});

describe("a pattern", () => {
  it.each([
    ["photos/*.jpg", ["b.jpg"]],
    ["photos/*", ["B.png", "a.JPG", "b.jpg", "z.gif"]],
    ["photos/**", ALL],
    ["./photos/**/*.{webp,tiff}", ["z/1.webp", "z/y/2.tiff"]],
    ["photos/z/*/{0..3}.tiff", ["z/y/2.tiff"]],
    ["photos/[ab].*", ["a.JPG", "b.jpg"]],
  ])("%s", async (pattern, found) => {
    expect(await names([pattern])).toEqual(found.map((name) => `photos/${name}`));
    expect(await (await openSources([pattern])).count()).toBe(found.length);
  });

  it("that ends in .jsonl or .txt gives what these hold, in the numbers of a range", async () => {
    for (const number of ["08", "09", "10", "11"]) put(`lists/t${number}.txt`, `text ${number}\n`);
    expect(await names(["lists/t{08..10}.txt"])).toEqual(["text 08", "text 09", "text 10"]);
  });

  it("that nothing fits is refused, and a file by that very name is none", async () => {
    await expect(openSources(["photos/*.bmp"])).rejects.toThrow(/wanted files that fit this pattern, found none/);
    await expect(openSources(["nowhere/*.bmp"])).rejects.toThrow(/nowhere: .*no such file/);
    await expect(openSources(["a{1..9999999}.png"])).rejects.toThrow(/at most 100000 numbers/);
    put("odd[1].jpg");
    expect(await names(["odd[1].jpg"])).toEqual(["odd[1].jpg"]);
  });
});

describe("words", () => {
  it("may be URLs and single files, of any name", async () => {
    put("scan.raw");
    const words = ["https://example.org/a.png", "scan.raw", "photos/b.jpg"];
    const found = await entries(words);
    expect(found.map(({ name }) => name)).toEqual(words);
    expect(found.map(({ stamp }) => stamp !== "")).toEqual([false, true, true]);
    expect(await Promise.all(found.map(({ load }) => load()))).toEqual(words);
  });

  it("that name nothing are refused, unless they look like a picture's", async () => {
    await expect(openSources(["photo"])).rejects.toThrow(/^photo: wanted .*found no such file or folder/);
    await expect(openSources(["http://"])).rejects.toThrow(/a URL/);
    expect(await names(["nowhere.png"])).toEqual(["nowhere.png"]);
  });
});

describe("a list on stdin", () => {
  it.each([
    ["lines", "photos/b.jpg\n\nhttps://example.org/ü.png\na b.png"],
    ["lines of Windows", "\ufeffphotos/b.jpg\r\nhttps://example.org/ü.png\r\na b.png\r\n"],
    ["names ended by zeros", "photos/b.jpg\0https://example.org/ü.png\0a b.png\0"],
  ])("may be %s", async (_, text) => {
    const expected = ["photos/b.jpg", "https://example.org/ü.png", "a b.png"];
    for (const size of [text.length * 2, 13]) {
      expect(await names(["-"], { stdin: pieces(text, size) })).toEqual(expected);
    }
  });

  it("may hold JSON", async () => {
    const text = '{"text": "a cat", "id": 7}\n{"image": "photos/b.jpg"}\n{"what": 1}\n';
    const found = await entries(["-"], { stdin: pieces(text) });
    expect(found.map(({ kind, name }) => [kind, name])).toEqual([
      ["text", "a cat"],
      ["image", "photos/b.jpg"],
      ["text", "stdin:3"],
    ]);
    await expect(found[2].load()).rejects.toThrow(/^stdin:3: wanted .*found the fields what/);
  });

  it("comes once, in UTF-8, in lines of some length", async () => {
    await expect(openSources(["-", "-"])).rejects.toThrow(/one list on stdin/);
    const latin1 = (async function* () {
      yield Uint8Array.of(0x61, 10, 0xe9, 10);
    })();
    await expect(entries(["-"], { stdin: latin1 })).rejects.toThrow(/^stdin:2: wanted text in UTF-8/);
    await expect(entries(["-"], { stdin: pieces("x".repeat(1.1e6), 65536) })).rejects.toThrow(/at most 1048576 bytes/);
  });
});

describe("texts", () => {
  it("of .txt are its lines, empty ones too", async () => {
    put("texts.txt", "a cat\r\n\r\n 猫 \n");
    const found = await entries(["texts.txt"]);
    expect(found.map(({ kind, name, stamp }) => [kind, name, stamp])).toEqual([
      ["text", "a cat", ""],
      ["text", "", ""],
      ["text", " 猫 ", ""],
    ]);
    expect(await found[2].load()).toBe(" 猫 ");
  });

  it("of .jsonl are strings and objects; paths begin where it lies", async () => {
    put(
      "lists/some.jsonl",
      '"a"\n{"text":"b"}\n{"caption":"c","id":1}\n{"image":"../photos/b.jpg"}\n{"image":"https://example.org/a.png"}\n\n{"image":3}\n{',
    );
    const found = await entries(["lists/some.jsonl"]);
    expect(found.map(({ name }) => name)).toEqual([
      "a",
      "b",
      "c",
      "photos/b.jpg",
      "https://example.org/a.png",
      "lists/some.jsonl:7",
      "lists/some.jsonl:8",
    ]);
    expect(found[3].stamp).toMatch(/^12-\d+$/);
    await expect(found[6].load()).rejects.toThrow(/^lists\/some\.jsonl:8: wanted a line of JSON/);
  });
});
