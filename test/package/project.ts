import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..");

/** The application's files, which are copied into the project. */
const APPLICATION = ["score.js", "main.js", "page.js", "worker.js"];

/** An empty project that the packed package was installed into, and nothing but that. */
export interface Project extends Disposable {
  readonly folder: string;
  readonly tarball: Tarball;
  /** Runs a program in the project and resolves with its stdout; rejects where it fails. */
  run(file: string, args: readonly string[], input?: string): Promise<string>;
}

/** What `npm pack --json` says. */
export interface Tarball {
  readonly filename: string;
  readonly version: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

/**
 * Builds and packs this package and installs the tarball. Its dependencies come from this checkout's node_modules, and so does
 * `webgpu`, so that no registry is asked; a package that it does not declare is not there.
 */
export async function installPackage(): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), "siglip-package-"));
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  // npm prints what its scripts print before the JSON.
  const packed = await execute("npm", ["pack", "--json", "--silent", "--pack-destination", folder], { cwd: root });
  const [tarball] = JSON.parse(packed.slice(packed.search(/^\[/m))) as [Tarball];
  const ours = (name: string) => `file:${join(root, "node_modules", name)}`;
  const manifest = {
    private: true,
    type: "module",
    dependencies: { siglip: `file:${join(folder, tarball.filename)}`, webgpu: ours("webgpu") },
    overrides: Object.fromEntries(Object.keys(dependencies).map((name) => [name, ours(name)])),
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  await execute("npm", ["install", "--offline", "--ignore-scripts"], { cwd: folder });
  for (const file of APPLICATION) cpSync(join(here, file), join(folder, file));
  // What a runtime keeps, choices of kernels for one, is neither found nor left behind.
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache"), DENO_DIR: join(folder, "deno") };
  return {
    folder,
    tarball,
    run: (file, args, input = "") => execute(file, args, { cwd: folder, env }, input),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The node_modules folder with the runtimes and the bundler that package.json beside this file names, installed where they are missing. */
export async function installRuntimes(): Promise<string> {
  const modules = join(here, "node_modules");
  const installed = join(modules, ".package-lock.json");
  const lock = join(here, "package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    await execute("npm", ["ci", "--ignore-scripts"], { cwd: here });
  }
  return modules;
}

/** Runs a program to its end and resolves with its stdout; rejects with its stderr in the message where it fails. */
export async function execute(
  file: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
  input = "",
): Promise<string> {
  // npm is a .cmd file on Windows, which only a shell starts.
  const shell = process.platform === "win32";
  const running = promisify(execFile)(file, args, { ...options, shell, maxBuffer: 2 ** 26 });
  // A program that reads nothing may have ended by now.
  running.child.stdin!.on("error", () => {}).end(input);
  return (await running).stdout;
}
