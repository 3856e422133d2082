import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { encodePng } from "../../src/node/images/write-png.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The command line in one file, which starts sooner than its sources, where it finds the packages that it asks for. */
export async function bundleCommand(): Promise<{ readonly file: string; [Symbol.dispose](): void }> {
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "siglip-scale-"));
  const file = join(folder, "siglip.mjs");
  await build({
    entryPoints: [join(root, "src/cli/main.ts")],
    outfile: file,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
  return { file, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcess;
  /** What became of it, and all that it said. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string; readonly errors: string }>;
}

/** Starts the command line on two threads at most and without a GPU. */
export function start(file: string, cwd: string, words: readonly string[]): Running {
  const child = spawn(process.execPath, [file, ...words], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const said = { output: "", errors: "" };
  child.stdout.on("data", (text) => (said.output += text));
  child.stderr.on("data", (text) => (said.errors += text));
  return { child, ended: new Promise((resolve) => child.on("close", (code) => resolve({ code, ...said }))) };
}

/** Small pictures, no two alike, 500 in a folder. */
export function makePictures(folder: string, count: number): void {
  const data = new Uint8Array(3 * 16 * 16);
  for (let picture = 0; picture < count; picture++) {
    let x = picture + 1;
    for (let at = 0; at < data.length; at++) {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
      data[at] = x >>> 24;
    }
    const within = join(folder, `${Math.floor(picture / 500)}`);
    if (picture % 500 === 0) mkdirSync(within, { recursive: true });
    writeFileSync(join(within, `${picture}.png`), encodePng({ width: 16, height: 16, data }));
  }
}
