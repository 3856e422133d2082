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

/** The folders of src/, lowest first. A file imports from its own folder and from what stands above its line here. */
const LAYERS = [
  ["support"],
  ["image", "tokenizer", "checkpoint", "tensor"],
  ["model"],
  ["files"],
  ["network"],
  ["siglip"],
  ["search", "evaluate"],
  ["browser", "node"],
  ["bulk", "serve"],
  ["index.ts", "node.ts"],
  ["static.ts", "workerd"],
  ["workerd.ts"],
  ["cli", "web"],
] as const;

/** What folders of one line may take from each other all the same: types, by which they name what they are given. */
const NEIGHBOURS: Readonly<Record<string, readonly string[]>> = {
  checkpoint: ["src/tensor/packing.ts", "src/tensor/program.ts"],
};

/** A file's folder in src/, or its own name where it lies at the root. */
function roomOf(file: string): string {
  return file.split("/")[1];
}

function layerOf(file: string): number {
  const found = LAYERS.findIndex((rooms) => (rooms as readonly string[]).includes(roomOf(file)));
  if (found < 0) throw new Error(`${file} lies in no layer; give its folder one in test/layers.test.ts.`);
  return found;
}

function mayImport(file: string, { target, typeOnly }: Import): boolean {
  if (!file.startsWith("src/") || !target.startsWith("src/") || roomOf(file) === roomOf(target)) return true;
  if (layerOf(target) < layerOf(file)) return true;
  return typeOnly && (NEIGHBOURS[roomOf(file)] ?? []).includes(target);
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
const inNode = (file: string) =>
  /^(src\/(((web|workerd)\/)?node\/|bulk\/|serve\/|cli\/|node\.ts$)|(weights\/embed|kernels\/generate)\.ts$)/.test(
    file,
  );

/** Packages that browsers load: HTML's names for one dialect, on demand, and what only the page has use for. */
const LIBRARIES: readonly [name: string, users: RegExp][] = [
  ["entities/decode", /^src\/tokenizer\/html\.ts$/],
  ["comlink", /^src\/web\//],
  ["idb", /^src\/web\//],
];
const mayUse = (file: string, target: string) => LIBRARIES.some(([name, users]) => name === target && users.test(file));

describe("the layers", () => {
  it("are kept by every import", () => {
    expect(modules.size).toBeGreaterThan(0);
    expect(faults((file, found) => !mayImport(file, found))).toEqual([]);
  });

  it("leave node:* and most npm packages to Node's rooms, which nothing below imports", () => {
    const foreign = (target: string) => inNode(target) || !/\.(ts|wgsl|wasm|json)$/.test(target);
    const decoders = /^src\/node\/images\/(kinds|worker\/(jpeg|webp))\.ts$/;
    const mayTake = (file: string, target: string) => file === "src/workerd/decode.ts" && decoders.test(target);
    const wrong = (file: string, target: string) => foreign(target) && !mayUse(file, target) && !mayTake(file, target);
    expect(faults((file, { target }) => !inNode(file) && wrong(file, target))).toEqual([]);
    const globals = [...modules].filter(([file, { nodeGlobals }]) => !inNode(file) && nodeGlobals.length > 0);
    expect(globals.map(([file, { nodeGlobals }]) => `${file} uses ${nodeGlobals}`)).toEqual([]);
  });

  it("hold no cycle", () => {
    expect(findCycle()).toEqual([]);
  });
});
