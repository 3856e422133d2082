import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect } from "vitest";
import { tallied } from "../harness/cases.ts";
import { siglip, temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);

const scenes = fileURLToPath(new URL("../../weights/demo/eval", import.meta.url));
const captions = readFileSync(join(scenes, "captions.jsonl"), "utf8");

describe("siglip eval", () => {
  tallied("zeroshot compares two backends in a table", { backend: "cpu", precision: "f32" }, async () => {
    const rows = captions
      .trim()
      .split("\n")
      .map((line): { file: string; caption: string } => JSON.parse(line));
    mkdirSync(at("classes"));
    for (const { file, caption } of rows) {
      const name = /^an? ([a-z]+)$/.exec(caption)?.[1];
      if (!name) continue;
      mkdirSync(at(`classes/${name}`), { recursive: true });
      writeFileSync(at(`classes/${name}/${file}`), readFileSync(join(scenes, file)));
    }
    writeFileSync(at("classes/bucket/notes.txt"), "no picture");
    writeFileSync(at("templates.txt"), "a photo of a {label}\n\n{label}\n");
    const args = ["eval", "zeroshot", at("classes"), "--backend", "wasm", "cpu", "--dtype", "f32", "i8"];
    const { code, stdout, stderr } = await siglip([...args, "--templates", at("templates.txt")]);
    // The cpu has no i8: that is told, the others are measured all the same.
    expect(stderr).toMatch(
      /^siglip: dtype: [^\n]+found "i8"; [^\n]+\nsiglip: [^\n]+wanted all 4 combinations .*found 3 /,
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/classes: \d+ pictures of \d+ classes, 2 templates\n/);
    const lines = stdout.trimEnd().split("\n");
    const first = lines.findIndex((line) => line.startsWith("top-1"));
    expect(lines[first]).toMatch(/^top-1 +f32 on wasm +100\.0 +\[\d\d\.\d, 100\.0\]$/);
    expect(lines[first + 1]).toMatch(/^ +i8 on wasm /);
    expect(lines[first + 2]).toMatch(/^ +f32 on cpu +100\.0 .* 0\.0 +\[0\.0, 0\.0\]$/);
    expect(stdout).toContain("\n\nOf f32 on wasm:\n\n");
    expect(lines.at(-2)).toMatch(/^probability over one half +of [\d.]+% of true pairs, of [\d.]+% of the others$/);
    expect(lines.at(-1)).toMatch(/^calibration error, loss +[\d., e-]+$/);
  });
});
