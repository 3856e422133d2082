// Writes the demo model as a module, its only form in the package: every runtime, bundler and CDN carries a script to where it is
// wanted, which cannot be said of a file beside it. `npm run generate` makes weights/demo.generated.ts, or the path given.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** What a model is loaded from. */
const FILES = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"];

/** Writes the module, which is TypeScript and JavaScript alike: every file's base64 by its name. */
export function embedDemo(target: string | URL = new URL("demo.generated.ts", import.meta.url)): void {
  const entries = FILES.map((file) => {
    const bytes = readFileSync(new URL(`demo/${file}`, import.meta.url));
    return `  ${JSON.stringify(file)}: "${bytes.toString("base64")}",\n`;
  });
  const text = `// Generated from weights/demo by weights/embed.ts.\nexport default {\n${entries.join("")}};\n`;
  // Tests that run together each write a file of their own; the rename is atomic, so nobody bundles half a module.
  const mine = new URL(`demo.generated.ts.${process.pid}`, import.meta.url);
  writeFileSync(mine, text);
  renameSync(mine, target);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) embedDemo(process.argv[2]);
