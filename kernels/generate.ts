// Joins the kernels with their parts and writes them as modules, which every runtime, bundler and CDN carries to where
// they are wanted. `npm run kernels` writes kernels/wgsl*.generated.ts, `npm run kernels -- --print linear` prints a
// whole kernel.
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = new URL(".", import.meta.url);

/** Kernels that not every device or load has a use for come in modules of their own, which are imported on demand. */
const APART: Readonly<Record<string, readonly string[]>> = {
  "wgsl-convert.generated.ts": ["convert"],
  "wgsl-matrix.generated.ts": ["attention_matrix", "linear_matrix"],
};

/** A line that stands for the text of a file of this folder. */
const INCLUDE = /^\/\/#include (\S+)\n/gm;

/** The names of all kernels: those of their files, without the ending. */
export function kernelNames(): string[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".wgsl"));
  return files.map((file) => file.slice(0, -".wgsl".length)).sort();
}

/**
 * The whole of a kernel: every part stands where it is first asked for, under its name, and only there. The text is
 * valid WGSL, comments and all.
 */
export function join(name: string): string {
  const seen = new Set<string>();
  const expand = (file: string): string =>
    readFileSync(new URL(file, folder), "utf8").replace(INCLUDE, (_, part: string) => {
      if (seen.has(part)) return "";
      seen.add(part);
      return `// ${part}\n${expand(part)}\n`;
    });
  return expand(`${name}.wgsl`).replace(/\n{3,}/g, "\n\n");
}

/** A shader without comments, empty lines and indentation. */
export function strip(source: string): string {
  const lines = source.split("\n").map((line) => line.replace(/\/\/.*/, "").trim());
  return lines.filter(Boolean).join("\n");
}

/** The modules' texts by file name. */
export function generate(): Record<string, string> {
  const texts = Object.fromEntries(kernelNames().map((name) => [name, strip(join(name))]));
  const apart = Object.values(APART).flat();
  const common = Object.keys(texts).filter((name) => !apart.includes(name));
  const module = (names: readonly string[]) => {
    const entries = names.map((name) => `  ${name}: \`${texts[name]}\`,\n`);
    return `// Generated from kernels/*.wgsl by kernels/generate.ts.\nexport const wgsl = {\n${entries.join("")}};\n`;
  };
  const modules = { "wgsl.generated.ts": `${module(common)}export const version = "${hash(texts)}";\n` };
  for (const [file, names] of Object.entries(APART)) Object.assign(modules, { [file]: module(names) });
  return modules;
}

function hash(texts: Readonly<Record<string, string>>): string {
  let sum = 0;
  for (const char of JSON.stringify(texts)) sum = (Math.imul(sum, 31) + char.charCodeAt(0)) | 0;
  return (sum >>> 0).toString(16);
}

/** Writes the modules. */
export function embedKernels(): void {
  for (const [file, text] of Object.entries(generate())) {
    // Processes that run together each write a file of their own; the rename is atomic: nobody reads half a module.
    const mine = new URL(`${file}.${process.pid}`, folder);
    writeFileSync(mine, text);
    renameSync(mine, new URL(file, folder));
  }
}

function print(name = ""): void {
  if (kernelNames().includes(name)) process.stdout.write(join(name));
  else {
    console.error(`--print: wanted one of ${kernelNames().join(", ")}, found ${name || "nothing"}.`);
    process.exitCode = 2;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [option, name] = process.argv.slice(2);
  if (option === "--print") print(name);
  else embedKernels();
}
