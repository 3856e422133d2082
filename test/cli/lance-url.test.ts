// LanceDB tables in object storage, by a stand-in for LanceDB that says what it was asked for.
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { failed, refused, siglip, temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
const packages = join(folder.path, "packages");
beforeAll(() => {
  const stub = join(packages, "@lancedb/lancedb");
  mkdirSync(stub, { recursive: true });
  writeFileSync(
    join(stub, "index.js"),
    `exports.connect = async (uri) => ({
      openTable: async (name) => { throw new Error(["LanceError, /lib.rs:1:2 Caused by: no", name, "in", uri + ", /lib.rs:3:4"].join(" ")); },
    });`,
  );
});
afterAll(folder.remove);

const run = (...words: string[]) => siglip(words, { env: { NODE_PATH: packages } });

it("a table in object storage is asked for at LanceDB by its URL", async () => {
  const ends = await Promise.all([
    run("search", "s3://bucket/of/mine/photos.lance", "a cat"),
    run("search", "az://container/photos.lance/", "a cat"),
    run("index", "gs://bucket/photos.lance"),
  ]);
  for (const [at, place] of ["s3://bucket/of/mine", "az://container", "gs://bucket"].entries()) {
    failed(ends[at], new RegExp(`found that LanceDB cannot \\(no photos in ${place}\\); check the address`));
  }
});

it("no other file is taken for one in object storage, and none is made in a folder of its name", async () => {
  const before = readdirSync(".");
  const ends = await Promise.all([
    run("embed", "a.jpg", "--out", "s3://bucket/photos.lance"),
    run("merge", "a.npy", "--out", "s3://bucket/photos.npy"),
    run("plan", "photos", "--out", "m.jsonl", "--queue", "redis://127.0.0.1:1", "--to", "s3://bucket/{}.npy"),
  ]);
  refused(ends[0], /Wanted a path; siglip merge copies a file to a LanceDB table at a URL\./);
  refused(ends[1], /Wanted a path, or a URL that ends in \.lance\./);
  refused(ends[2], /Wanted a path; /);
  expect(readdirSync(".")).toEqual(before);
});
