// Writes kernels/wgsl.ts, which carries the shaders into browsers, Deno, Node and bundlers without a plug-in.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const folder = new URL(".", import.meta.url);

/** The module's text: every kernels/*.wgsl by name, without comments and indentation. */
export function generate(): string {
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".wgsl"))
    .sort();
  const entries = files.map((file) => {
    const lines = readFileSync(new URL(file, folder), "utf8").split("\n");
    const source = lines.map((line) => line.replace(/\/\/.*/, "").trim()).filter(Boolean);
    return `  ${file.slice(0, -".wgsl".length)}: \`${source.join("\n")}\`,`;
  });
  return `// Generated from kernels/*.wgsl by \`npm run kernels\`; edit those.\nexport const wgsl = {\n${entries.join("\n")}\n} as const;\n`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) writeFileSync(new URL("wgsl.ts", folder), generate());
