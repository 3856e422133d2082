// Writes kernels/wgsl*.ts, which carry the shaders into browsers, Deno, Node and bundlers without a plug-in.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { minify, strip } from "./minify.ts";

const folder = new URL(".", import.meta.url);

/** Kernels that not every device or load has a use for come in modules of their own, which are imported on demand. */
const APART: Readonly<Record<string, readonly string[]>> = {
  "wgsl-convert.ts": ["convert"],
  "wgsl-matrix.ts": ["attention_matrix", "linear_matrix"],
};

/** The text of every shader, by the name of its file without the ending. */
export function readShaders(): Record<string, string> {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith(".wgsl"))
    .map((file) => file.slice(0, -".wgsl".length))
    .sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(new URL(`${name}.wgsl`, folder), "utf8")]));
}

/** The modules' texts by file name. */
export function generate(): Record<string, string> {
  const shaders = readShaders();
  const pick = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, shaders[name]]));
  const apart = Object.values(APART).flat();
  const common = pick(Object.keys(shaders).filter((name) => !apart.includes(name)));
  const version = `/** Tells these kernels from all others, those in modules of their own too. */\nexport const version = "${hash(shaders)}";\n`;
  const modules = { "wgsl.ts": module(minify(common)) + version };
  for (const [file, names] of Object.entries(APART)) {
    const texts = Object.entries(pick(names)).map(([name, text]) => [name, strip(text)]);
    Object.assign(modules, { [file]: module(Object.fromEntries(texts)) });
  }
  return modules;
}

function module(texts: Readonly<Record<string, string>>): string {
  const entries = Object.entries(texts).map(([name, text]) => `  ${name}: \`${text}\`,`);
  return `// Generated from kernels/*.wgsl by \`npm run kernels\`; edit those.\nexport const wgsl = {\n${entries.join("\n")}\n} as const;\n`;
}

function hash(shaders: Readonly<Record<string, string>>): string {
  let sum = 0;
  for (const char of JSON.stringify(shaders)) sum = (Math.imul(sum, 31) + char.charCodeAt(0)) | 0;
  return (sum >>> 0).toString(16);
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const [file, text] of Object.entries(generate())) writeFileSync(new URL(file, folder), text);
}
