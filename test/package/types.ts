import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import current from "typescript";

/** What an application is compiled with. */
export interface Compilation {
  /** What it imports a model from. */
  readonly entries: readonly string[];
  readonly options: current.CompilerOptions;
  /** Which of README's examples in TypeScript it holds as well, from 0. */
  readonly example?: number;
  /** The folder of another compiler in its node_modules; this project's own by default. */
  readonly compiler?: string;
}

/** Modules as bundlers find them, and no types but those of TypeScript's own libraries. */
export const bundled: current.CompilerOptions = {
  module: current.ModuleKind.ESNext,
  moduleResolution: current.ModuleResolutionKind.Bundler,
  types: [],
};

/** Modules as Node finds them, and Node's types. */
export const inNode: current.CompilerOptions = {
  module: current.ModuleKind.NodeNext,
  moduleResolution: current.ModuleResolutionKind.NodeNext,
  types: ["node"],
  typeRoots: [fileURLToPath(new URL("../../node_modules/@types", import.meta.url))],
};

/** What README's examples speak of without saying where it comes from. */
const PRELUDE = "declare const bytes: Uint8Array, blob: Blob, paths: string[];\n";

/** What a strict compiler says, libraries checked too, of an application that takes the dimensions of its models for strings. */
export function diagnose(project: string, { entries, options, example, compiler }: Compilation): string[] {
  const ts: typeof current = compiler ? createRequire(join(compiler, "typescript"))("typescript") : current;
  const lines = entries.flatMap((entry, i) => [
    `import { Siglip as Siglip${i} } from "${entry}";`,
    `export const dim${i}: string = (await Siglip${i}.load("demo")).dim;`,
  ]);
  lines.push('import { elementSize } from "siglip/safetensors";', 'export const size: string = elementSize("F32");');
  const files = [join(project, "consumer.ts")];
  writeFileSync(files[0], lines.join("\n"));
  if (example !== undefined) {
    files.push(join(project, "readme.ts"));
    writeFileSync(files[1], PRELUDE + readmeExample(project, example));
  }
  const target = ts.ScriptTarget.ES2022;
  const program = ts.createProgram(files, { ...options, strict: true, noEmit: true, target });
  return ts.getPreEmitDiagnostics(program).map(({ messageText, file }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, " ");
    return file?.fileName.endsWith("consumer.ts") ? text : `${file?.fileName}: ${text}`;
  });
}

function readmeExample(project: string, index: number): string {
  const readme = readFileSync(join(project, "node_modules/siglip/README.md"), "utf8");
  return [...readme.matchAll(/^```ts\n(.*?)^```/gms)][index][1];
}
