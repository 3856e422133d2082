import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { generate, join, kernelNames } from "../../../kernels/generate.ts";
import { wgsl as common } from "../../../kernels/wgsl.generated.ts";
import { wgsl as convert } from "../../../kernels/wgsl-convert.generated.ts";
import { wgsl as matrix } from "../../../kernels/wgsl-matrix.generated.ts";

const folder = new URL("../../../kernels/", import.meta.url);
const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => name.replaceAll("\\", "/"));
const files = names.filter((name) => name.endsWith(".wgsl"));
const read = (name: string) => readFileSync(new URL(name, folder), "utf8");
/** The lines of a text that are code, without what is said about them. */
const code = (text: string) => text.split("\n").flatMap((line) => line.replace(/\/\/.*/, "").trim() || []);

for (const file of files) {
  it(`${file}: no tabs, no spaces at the end, lines of at most 120 characters`, () => {
    for (const [index, line] of read(file).split("\n").entries()) {
      expect([...line].length, `${file}:${index + 1}`).toBeLessThanOrEqual(120);
      expect(line, `${file}:${index + 1}`).not.toMatch(/\t|\s$/);
    }
  });
}

it("no function or struct stands in two files", () => {
  const homes = new Map<string, string>();
  for (const file of files) {
    for (const [text] of read(file).matchAll(/^(fn|struct) \w[\s\S]*?^}$/gm)) {
      expect(homes.get(text), `${file}: ${text}; make it a part`).toBeUndefined();
      homes.set(text, file);
    }
  }
  expect(homes.size).toBeGreaterThan(20);
});

it("every part is in a kernel, and in none twice", () => {
  const kernels = kernelNames().map(join);
  for (const kernel of kernels) expect(kernel).not.toContain("#include");
  for (const part of files.filter((name) => name.startsWith("parts/"))) {
    const counts = kernels.map((kernel) => kernel.split(`// ${part}\n`).length - 1);
    expect(Math.max(...counts), part).toBe(1);
  }
});

it("the modules carry the joined kernels, without comments and indentation", async () => {
  const modules: Record<string, string> = { ...common, ...convert, ...matrix };
  expect(Object.keys(modules).sort()).toEqual(kernelNames());
  for (const [name, text] of Object.entries(modules)) expect(text, name).toBe(code(join(name)).join("\n"));
  // They are written before the tests run; kernels that have changed since would not be those that were tested.
  for (const [file, text] of Object.entries(generate())) expect(read(file), file).toBe(text);
});

it("`npm run kernels -- --print` prints a whole kernel, or says which there are", async () => {
  const script = fileURLToPath(new URL("generate.ts", folder));
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ["--import", "tsx", script, "--print", ...args]);
  expect((await run("linear")).stdout).toBe(join("linear"));
  await expect(run("lineal")).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("linear_direct") });
});
