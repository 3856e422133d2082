import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Siglip, VectorIndex } from "../../src/node.ts";
import { siglip, temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const index = join(folder.path, "index.safetensors");

const photos = join(folder.path, "photos.safetensors");
const cats = "weights/demo/examples/two-cats.png";
const plane = "weights/demo/examples/plane.jpg";
const wasm = ["--backend", "wasm", "--threads", "1"];
let ranked: Record<string, number>;

beforeAll(async () => {
  const model = await Siglip.load("demo", { backend: "wasm", threads: 1 });
  const embedded = new VectorIndex(model.dim);
  embedded.add(await model.embedImages([cats, plane, plane]), [cats, plane, "gone/plane.jpg"]);
  await embedded.save(photos);
  const labels = await model.classify(cats, ["2 cats", "=a plane"], { templates: ["{label}"] });
  ranked = Object.fromEntries(labels.map(({ label, probability }) => [label, probability]));
  model.dispose();

  const made = new VectorIndex(144);
  const rows = new Float32Array(4 * 144);
  for (const [row, column] of [0, 1, 0, 2].entries()) rows[row * 144 + column] = 1;
  made.add(rows, ["a.jpg", "b.jpg", "a\x1b[31m.jpg", "c.jpg"]);
  await made.save(index);
});

describe("siglip dedupe", () => {
  it("shows groups, and names that steer no terminal", async () => {
    expect(await siglip(["dedupe", index])).toEqual({
      code: 0,
      stdout: [
        ...["1.000  a.jpg", "1.000  a\\u001b[31m.jpg", ""],
        `${index}: of 4 embeddings 2 are nearly the same as others, in 1 group.\n`,
      ].join("\n"),
      stderr: "",
    });
  });
});

describe("siglip sort", () => {
  it("gives what classify gives, and copies", async () => {
    const into = join(folder.path, "sorted");
    const out = join(folder.path, "labels.csv");
    const labels = ["--labels", "2 cats", "=a plane", "--template", "{label}", "--above", "0.5", ...wasm];
    const made = await siglip(["sort", photos, ...labels, "--out", out, "--copy-to", into]);
    expect(made.code).toBe(1);
    expect(made.stdout).toMatch(/^2 cats +1 +.*2 cats\n=a plane +2 +.*=a plane\nnone of them +0\n$/);
    expect(made.stderr).toMatch(/^siglip: gone\/plane\.jpg: .*\nsiglip: .*sorted: wanted copies of all 3, found 2, /);
    const lines = readFileSync(out, "utf8").split("\r\n");
    expect([lines.length, lines[0]]).toEqual([5, 'name,label,2 cats,"\'=a plane"']);
    const [name, label, first, second] = lines[1].split(",");
    expect([name, label]).toEqual([cats, "2 cats"]);
    expect(Number(first)).toBeCloseTo(ranked["2 cats"], 5);
    expect(Number(second)).toBeCloseTo(ranked["=a plane"], 5);
    expect(readdirSync(into).sort()).toEqual(["2 cats", "=a plane"]);
    expect(readFileSync(join(into, "=a plane", "plane.jpg"))).toEqual(readFileSync(plane));
    expect(existsSync(join(into, "2 cats", "two-cats.png"))).toBe(true);
  });
});

describe("siglip search", () => {
  it("writes a page with what it found, and takes nobody's name for HTML", async () => {
    const sheet = join(folder.path, "sheet.html");
    const env = { DISPLAY: "", WAYLAND_DISPLAY: "" };
    const args = ["search", photos, "2 cats <b>", "-k", "3", ...wasm, "--open", sheet];
    const found = await siglip(args, { env });
    expect(found.code).toBe(0);
    expect(found.stdout).toMatch(/^0\.\d{3} {2,3}weights.*two-cats\.png\n/);
    if (process.platform === "linux")
      expect(found.stderr).toMatch(/sheet\.html: open it in a browser, for there is no/);
    const html = readFileSync(sheet, "utf8");
    expect(html).toContain("<title>2 cats &#60;b&#62;</title>");
    expect(
      html.match(/<a href="file:\/\/\/[^"]*\/two-cats\.png" title="[^"]*"><span class="frame"><img src="data:/g),
    ).toHaveLength(1);
    expect(html.match(/<span title="gone\/plane\.jpg"><span class="frame">not readable/g)).toHaveLength(1);
  });
});
