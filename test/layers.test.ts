import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

interface Import {
  /** A path from the root with forward slashes, or the name of a package. */
  readonly target: string;
  readonly typeOnly: boolean;
}
interface Module {
  readonly imports: readonly Import[];
  /** Names of Node's that browsers lack. */
  readonly nodeGlobals: readonly string[];
}

const ground = ["src/error.ts", "src/numbers.ts"];
const pure = { imports: ground, types: ["src/tensor/backend.ts", "src/image/"] };
const backend = { imports: ["src/tensor/backend.ts", "src/tensor/quantise.ts", ...ground], types: [] };
const webgpu = {
  imports: [...backend.imports, "kernels/wgsl.ts", "kernels/wgsl-convert.ts", "kernels/wgsl-matrix.ts"],
  types: [],
};

/**
 * What the files under a prefix may import beside each other; the longest prefix counts. Those under none may import all that
 * the rules for every file allow.
 */
const layers: Record<string, { imports: readonly string[]; types: readonly string[] }> = {
  "src/error.ts": { imports: [], types: [] },
  "src/numbers.ts": { imports: ["src/error.ts"], types: [] },
  "src/config.ts": pure,
  "src/checkpoint/": pure,
  "src/image/": pure,
  "src/tokenizer/": pure,
  "src/tensor/backend.ts": { imports: ["src/error.ts"], types: [] },
  "src/tensor/": backend,
  "src/tensor/cpu": backend,
  "src/tensor/wasm": backend,
  "src/tensor/webgpu": webgpu,
  "src/model/": { imports: ["src/tensor/backend.ts", ...ground], types: ["src/config.ts", "src/checkpoint/"] },
};

function layerOf(file: string): string | undefined {
  const prefixes = Object.keys(layers).filter((prefix) => file.startsWith(prefix));
  return prefixes.sort((a, b) => b.length - a.length)[0];
}

function mayImport(file: string, { target, typeOnly }: Import): boolean {
  const layer = layerOf(file);
  if (layer === undefined || layerOf(target) === layer) return true;
  const { imports, types } = layers[layer];
  return [...imports, ...(typeOnly ? types : [])].some((allowed) => target.startsWith(allowed));
}

function parse(file: string): Module {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), "utf8"), ts.ScriptTarget.Latest, true);
  const imports: Import[] = [];
  const nodeGlobals: string[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (!specifier) return;
    if (!ts.isStringLiteralLike(specifier))
      throw new Error(`${file} imports ${specifier.getText()}, which cannot be read.`);
    const path = resolve(root, dirname(file), specifier.text);
    const target = specifier.text.startsWith(".") ? relative(root, path).replaceAll("\\", "/") : specifier.text;
    imports.push({ target, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node)) {
      add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument, true);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    } else if (ts.isIdentifier(node) && ["Buffer", "process", "require"].includes(node.text)) {
      const { parent } = node;
      const property = "name" in parent && parent.name === node && !ts.isVariableDeclaration(parent);
      if (!property) nodeGlobals.push(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports, nodeGlobals };
}

const modules = new Map<string, Module>();
/** Parses a file of ours and all that it reaches, files outside src/ included. */
function reach(file: string): void {
  if (modules.has(file)) return;
  const module = parse(file);
  modules.set(file, module);
  // A file that is not there is the compiler's to report.
  for (const { target } of module.imports) if (target.endsWith(".ts") && existsSync(join(root, target))) reach(target);
}
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `src/${name.replaceAll("\\", "/")}`);
for (const file of sources) reach(file);

/** `file -> target` for every import that `wrong` finds fault with. */
function faults(wrong: (file: string, found: Import) => boolean): string[] {
  return [...modules].flatMap(([file, { imports }]) =>
    imports.filter((found) => wrong(file, found)).map(({ target }) => `${file} -> ${target}`),
  );
}

/** The first cycle of imports that are there at run time, as the files along it. */
function findCycle(): string[] {
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const { target, typeOnly } of modules.get(file)?.imports ?? []) {
      const cycle = typeOnly ? [] : walk(target, [...path, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  return sources.map((file) => walk(file, [])).find((cycle) => cycle.length > 0) ?? [];
}

/** Node's part of the library, and the tools that build the page. */
const inNode = (file: string) => /^(src\/(web\/)?node\/|weights\/embed\.ts$)/.test(file);

describe("the layers", () => {
  it("are kept by every import", () => {
    expect(modules.size).toBeGreaterThan(0);
    expect(faults((file, found) => !mayImport(file, found))).toEqual([]);
  });

  it("leave node:* and npm packages to src/node and src/web/node, which nothing below it imports", () => {
    const foreign = (target: string) => inNode(target) || !/\.(ts|wgsl|json)$/.test(target);
    expect(faults((file, { target }) => !inNode(file) && foreign(target))).toEqual([]);
    const globals = [...modules].filter(([file, { nodeGlobals }]) => !inNode(file) && nodeGlobals.length > 0);
    expect(globals.map(([file, { nodeGlobals }]) => `${file} uses ${nodeGlobals}`)).toEqual([]);
  });

  it("hold no cycle", () => {
    expect(findCycle()).toEqual([]);
  });
});
