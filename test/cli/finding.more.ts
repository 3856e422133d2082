// What the commands that ask an index something print as JSON.
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Siglip, VectorIndex } from "../../src/node.ts";
import { refused, siglip, temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const photos = join(folder.path, "photos.npy");
const cats = "weights/demo/examples/two-cats.png";
const plane = "weights/demo/examples/plane.jpg";
const wasm = ["--backend", "wasm", "--threads", "1"];

beforeAll(async () => {
  const model = await Siglip.load("demo", { backend: "wasm", threads: 1 });
  const index = new VectorIndex(model.dim);
  index.add(await model.embedImages([cats, plane, plane]), [cats, plane, "again.jpg"]);
  await index.save(photos);
  model.dispose();
});

it("siglip dedupe lists groups", async () => {
  const { stdout } = await siglip(["dedupe", photos, "--above", "0.999", "--json"]);
  const score = expect.closeTo(1, 6);
  expect(JSON.parse(stdout)).toEqual([
    [
      { index: 1, score, name: plane },
      { index: 2, score, name: "again.jpg" },
    ],
  ]);
  refused(await siglip(["dedupe", photos, "--above", "1.5"]), /Wanted a number above 0, at most 1/);
});

it("siglip sort prints a line a picture, as JSON or CSV", async () => {
  const args = ["sort", photos, "--labels", "2 cats", "a plane", "--template", "{label}", "--above", "0.5", ...wasm];
  const [json, csv] = await Promise.all([siglip([...args, "--json"]), siglip(args)]);
  const results = json.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(results.map(({ name, label }) => [name, label])).toEqual([
    [cats, "2 cats"],
    [plane, "a plane"],
    ["again.jpg", "a plane"],
  ]);
  const probability = expect.any(Number);
  expect(results[0].labels).toEqual([
    { label: "2 cats", probability },
    { label: "a plane", probability },
  ]);
  const [, first] = csv.stdout.split("\r\n");
  expect(first).toBe(
    [cats, "2 cats", ...results[0].labels.map((one: { probability: number }) => one.probability)].join(),
  );
});

it("siglip search --open wants no text behind it", async () => {
  refused(
    await siglip(["search", photos, "--open", "2 cats", ...wasm]),
    /Wanted a name that ends in \.html; name what/,
  );
});
