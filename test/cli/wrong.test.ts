import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { CLI, failed, refused, siglip, temporaryFolder } from "../harness/cli.ts";

const demo = "weights/demo/examples";
const cpu = ["--backend", "cpu"];

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);

describe("what strangers name", () => {
  const evil = "\x1b]0;a\x07\x9b2J\u202eb";
  const shown = String.raw`\u001b]0;a\u0007\u009b2J\u202eb`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come.
  const steering = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

  it("is escaped and shortened in errors, commander's own among them", async () => {
    const cases: [string[], string][] = [
      [[evil], `unknown command '${shown}'`],
      [["info", `--${evil}`], `unknown option '--${shown}'`],
      [["info", `demo${evil}`], shown],
      [["classify", `${evil}.png`, "--labels", "a"], shown],
      [["classify", `${demo}/plane.jpg`, "--labels", "a", "--backend", evil], `'${shown}' is invalid`],
      [["info", "a".repeat(100_000)], "…"],
      [["a".repeat(100_000)], "…"],
    ];
    const ends = await Promise.all(cases.map(([args]) => siglip(args)));
    for (const [index, [, part]] of cases.entries()) {
      expect(ends[index].stderr).toContain(part);
      expect(ends[index].stderr.length).toBeLessThan(2200);
      expect(ends[index].stderr).not.toMatch(steering);
    }
  });

  it("is escaped in tables and in JSON, which still gives it back", async () => {
    const picture = at(`${process.platform === "win32" ? "" : evil}.png`);
    writeFileSync(picture, readFileSync(`${demo}/plane.jpg`));
    const args = ["classify", picture, "--labels", evil, "a", ...cpu];
    const [table, json] = await Promise.all([siglip(args), siglip([...args, "--json"])]);
    for (const { code, stdout } of [table, json]) {
      expect(code).toBe(0);
      expect(stdout).toContain(String.raw`\u009b2J\u202eb`);
      expect(stdout).not.toMatch(steering);
    }
    const [{ image, labels }] = JSON.parse(json.stdout);
    expect(image).toBe(picture);
    expect(labels.map(({ label }: { label: string }) => label)).toContain(evil);
  });

  it("is escaped and shortened in warnings of tensors", async () => {
    const file = readFileSync("weights/demo/model.safetensors");
    const length = Number(file.readBigUInt64LE());
    const header = JSON.parse(file.toString("utf8", 8, 8 + length));
    const data = file.subarray(8 + length);
    header[`${evil}${"x".repeat(5000)}`] = { dtype: "F32", shape: [1], data_offsets: [data.length, data.length + 4] };
    const text = Buffer.from(JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    mkdirSync(at("odd"));
    for (const name of ["config.json", "preprocessor_config.json", "spiece.model"]) {
      writeFileSync(at(`odd/${name}`), readFileSync(`weights/demo/${name}`));
    }
    writeFileSync(at("odd/model.safetensors"), Buffer.concat([size, text, data, Buffer.alloc(4)]));
    const { code, stderr } = await siglip([
      "classify",
      `${demo}/plane.jpg`,
      "--labels",
      "a",
      ...cpu,
      "--model",
      at("odd"),
    ]);
    expect(code).toBe(0);
    expect(stderr).toContain(shown);
    expect(stderr.length).toBeLessThan(2200);
    expect(stderr).not.toMatch(steering);
  });
});

describe("bad input", () => {
  it("is wrong usage where the arguments do not make sense", async () => {
    const picture = `${demo}/plane.jpg`;
    const cases: [string[], RegExp][] = [
      [["clasify"], /unknown command 'clasify'/],
      [["classify", picture, ...cpu], /wanted --labels, found none, and a model without labels of its own; say what/],
      [
        ["classify", "--labels", "a", "b"],
        /wanted pictures and labels, found none; name the pictures first, or after --/,
      ],
      [["demo", "--max-pixels", "2.5"], /'--max-pixels <n>' argument '2\.5' is invalid\. Wanted a whole number/],
      [["demo", "--threads", "two"], /'--threads <n>' argument 'two' is invalid\. Wanted a whole number/],
      [["classify", "--labels", picture], /wanted pictures and labels, found pictures alone/],
      [
        ["classify", picture, "--labels", "a", "--backend", "gpu"],
        /'gpu' is invalid. Allowed choices are auto, webgpu, wasm, cpu/,
      ],
      [["embed", "--out", at("c.npy")], /wanted pictures, --text or --texts, found none/],
      [["embed", picture, "--text", "a", "--out", at("c.npy")], /for \.npy, found both/],
      [["embed", picture, "--out", at("c.txt")], /ends in \.safetensors, \.npy, \.jsonl/],
      [["serve", "--cors", "https://example.com/"], /Wanted an origin such as https:\/\/example\.com, without a path/],
      [["search", at("c.npy"), ""], /wanted a text to search for, found an empty one/],
    ];
    const ends = await Promise.all(cases.map(([args]) => siglip(args)));
    for (const [index, [, why]] of cases.entries()) refused(ends[index], why);
  });

  it("is told in one sentence where something is missing or damaged", async () => {
    writeFileSync(at("cut.png"), readFileSync(`${demo}/two-cats.png`).subarray(0, 5000));
    writeFileSync(at("latin1.txt"), Buffer.from("caf\xe9", "latin1"));
    writeFileSync(at("newlines.txt"), "\n".repeat(5_000_000));
    writeFileSync(at("old.npy"), "old");
    mkdirSync(at("no-weights"));
    writeFileSync(at("no-weights/config.json"), readFileSync("weights/demo/config.json"));
    const classify = (image: string, ...more: string[]) => ["classify", image, "--labels", "a", ...cpu, ...more];
    const cases: [string[], RegExp][] = [
      [classify(at("none.png")), /none\.png: wanted to read this file, found no such file/],
      [["search", "", "a cat"], /^siglip: "": wanted to read this file/],
      [classify(folder.path), /wanted a regular file, found a folder/],
      [classify(at("latin1.txt")), /wanted a PNG, JPEG, .* picture, found/],
      [classify(at("cut.png")), /truncated/],
      [classify(`${demo}/plane.jpg`, "--model", at("nowhere")), /wanted a folder with a SigLIP model, found nothing/],
      [classify(`${demo}/plane.jpg`, "--model", at("no-weights")), /found neither; fetch the model's weights/],
      [classify(`${demo}/plane.jpg`, "--template", "a photo"), /wanted a list of templates with \{label\}/],
      [["embed", at("cut.png"), ...cpu, "--out", at("old.npy"), "--overwrite"], /truncated/],
      [["embed", "--text", "a", ...cpu, "--out", at("old.npy")], /to go on from, found something else .*--overwrite/],
      [
        classify(`${demo}/plane.jpg`, "--heatmap", at("nowhere/h.png")),
        /h\.png: wanted to write this file, found no such/,
      ],
      [["embed", "--text", "a", ...cpu, "--out", at("nowhere/d.npy")], /wanted to write this file, found no such/],
      [["embed", "--texts", at("latin1.txt"), "--out", at("d.npy")], /wanted texts in UTF-8/],
      [["embed", "--texts", at("newlines.txt"), "--out", at("d.npy")], /wanted at most 4194304 texts, found 5000000/],
    ];
    const ends = await Promise.all(cases.map(([args]) => siglip(args)));
    for (const [index, [, why]] of cases.entries()) failed(ends[index], why);
    expect(readFileSync(at("old.npy"), "utf8")).toBe("old");
    expect(readdirSync(folder.path).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("is named where other pictures are sound, which are classified all the same", async () => {
    writeFileSync(at("bad.png"), "no picture");
    const words = [at("bad.png"), `${demo}/plane.jpg`, "--labels", "a plane", ...cpu, "--json"];
    const { code, stdout, stderr } = await siglip(["classify", ...words]);
    expect({ code, images: JSON.parse(stdout).map(({ image }: { image: string }) => image) }).toEqual({
      code: 1,
      images: [`${demo}/plane.jpg`],
    });
    expect(stderr).toMatch(
      /^siglip: .*bad\.png: wanted .*\nsiglip: classify: wanted 2 pictures .* found 1; mend .*\.\n$/,
    );
  });

  it.skipIf(!existsSync("/dev/full"))(
    "a disk without room for the results is told, though all else has ended well",
    async () => {
      for (const args of ["info --list", "info --help"]) {
        const command = `${CLI.join(" ")} ${args} > /dev/full`;
        const run = promisify(execFile)("/bin/sh", ["-c", command]);
        await expect(run).rejects.toMatchObject({
          code: 1,
          stderr: expect.stringMatching(/^siglip: stdout: .* no space left.*\.\n$/),
        });
      }
    },
  );
});
