import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { Archives, archiveOf } from "../../src/cli/archived.ts";
import { copyBytes, copyPicture, makeFolder } from "../../src/cli/copy-picture.ts";
import { csvLine } from "../../src/cli/csv.ts";
import { fileName, folderNames, numbered } from "../../src/cli/folder-names.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { tar } from "../harness/tar.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

describe("a line of CSV", () => {
  it("has quotes where they are wanted, and no formulas", () => {
    expect(csvLine(["photos/a b.jpg", "a, b", 'say "cheese"', "two\nlines", "", 0.25, 1e-9, -1])).toBe(
      'photos/a b.jpg,"a, b","say ""cheese""","two\nlines","",0.25,1e-9,-1\r\n',
    );
    for (const text of ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "＝1", "|calc"]) {
      expect(csvLine([text])).toBe(`"'${text}"\r\n`);
    }
    expect(csvLine(["a;=1", " =1", "東京.jpg"])).toBe('"a;=1"," =1",東京.jpg\r\n');
  });

  it("is read back as it was, but for apostrophes", () => {
    const cells = fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(cells, (texts) => {
        const line = csvLine(texts).slice(0, -2);
        const found = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,"]*))(?=,|$)/g)];
        const read = found.map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare);
        expect(read.map((text, at) => (text === texts[at] ? text : text.slice(1)))).toEqual(texts);
      }),
    );
  });
});

describe("names of folders and files", () => {
  it("are names, whatever the labels are", () => {
    expect(folderNames(["../../etc", "a/b", "", "..", "CON", "Cat", "cat", "a\u0000\u202eb", "x."])).toEqual([
      "_.._etc",
      "a_b",
      "label 3",
      "label 4",
      "_CON",
      "Cat",
      "cat (2)",
      "a__b",
      "x",
    ]);
    expect(fileName(`${"é".repeat(200)}.jpeg`, "")).toBe(`${"é".repeat(100)}.jpeg`);
    expect([numbered("a.jpg", 1), numbered("a.jpg", 2), numbered(".a", 3)]).toEqual(["a.jpg", "a (2).jpg", ".a (3)"]);
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 300 })), (labels) => {
        const names = folderNames(labels);
        expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(labels.length);
        for (const name of names) {
          expect(name).toMatch(/^[^./\\ ][^/\\]*$/);
          expect(Buffer.byteLength(name)).toBeLessThan(240);
        }
      }),
    );
  });
});

describe("copies", () => {
  const at = (...names: string[]) => join(folder.path, ...names);

  it("replace nothing, and are not made twice", async () => {
    for (const name of ["one", "two", "three"]) mkdirSync(at(name));
    writeFileSync(at("one", "a.jpg"), "first");
    writeFileSync(at("two", "a.jpg"), "other");
    writeFileSync(at("three", "a.jpg"), "longer than these");
    utimesSync(at("one", "a.jpg"), 1e9, 1e9);
    const into = await makeFolder(at("copies"), "cat");
    for (const made of [true, false]) {
      for (const name of ["one", "two", "three"]) expect(await copyPicture(at(name, "a.jpg"), into)).toBe(made);
    }
    const names = ["a (2).jpg", "a (3).jpg", "a.jpg"];
    expect(readdirSync(into).sort()).toEqual(names);
    expect(names.map((name) => readFileSync(join(into, name), "utf8"))).toEqual([
      "other",
      "longer than these",
      "first",
    ]);
    expect(statSync(join(into, "a.jpg")).mtimeMs).toBe(1e12);
  });

  it("are made at once by two", async () => {
    const into = await makeFolder(at("copies"), "dog");
    const made = await Promise.all(["one", "two", "one", "two"].map((name) => copyPicture(at(name, "a.jpg"), into)));
    expect(made.filter(Boolean)).toHaveLength(2);
    expect(readdirSync(into).sort()).toEqual(["a (2).jpg", "a.jpg"]);
  });

  it("go into no link, and are of files alone", async () => {
    symlinkSync(at("two"), at("copies", "link"));
    await expect(makeFolder(at("copies"), "link")).rejects.toThrow(/wanted a folder, found a link or a file; /);
    for (const path of [at("one"), "/dev/zero", at("nowhere"), "https://example.org/a.jpg"]) {
      await expect(copyPicture(path, at("copies", "cat"))).rejects.toThrow(/^[^;]*: wanted [^;]*, found [^;]*; /);
    }
    expect(readdirSync(at("copies", "cat"))).toHaveLength(3);
  });

  it("are made of pictures in archives, asked for in any order", async () => {
    const file = at("photos.tar");
    const contents = { "a/x.jpg": "first", "b/x.jpg": "second", "c/y.png": "third" };
    writeFileSync(file, tar(Object.entries(contents).map(([name, content]) => ({ name, content }))));
    const archives = new Archives();
    const into = await makeFolder(at("copies"), "bird");
    for (const made of [true, false]) {
      for (const name of ["a/x.jpg", "c/y.png", "b/x.jpg"]) {
        const path = `${file}/${name}`;
        expect(await archiveOf(path)).toBe(file);
        const picture = await archives.load(file, path);
        expect(await copyBytes(path, new Uint8Array(await picture.arrayBuffer()), into)).toBe(made);
      }
    }
    expect(readdirSync(into).sort()).toEqual(["x (2).jpg", "x.jpg", "y.png"]);
    expect(readFileSync(join(into, "x (2).jpg"), "utf8")).toBe("second");
    await expect(archives.load(file, `${file}/d.jpg`)).rejects.toThrow(
      /wanted a picture in this archive, found none of/,
    );
    await archives.close();
    for (const name of ["a.jpg", "gone.tar/a.jpg", `${at("one")}/a.jpg`]) expect(await archiveOf(name)).toBeUndefined();
  });
});
