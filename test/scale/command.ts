import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodePng } from "../../src/node/images/write-png.ts";
import { BUNDLE } from "../harness/bundle-cli.ts";

/** The command line, bundled as the tests began. */
export const COMMAND = fileURLToPath(new URL(`../../${BUNDLE}`, import.meta.url));

/** A command that runs. */
export interface Running {
  readonly child: ChildProcess;
  /** What became of it, and all that it said. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string; readonly errors: string }>;
}

/** Starts the command line in a folder. */
export function start(cwd: string, words: readonly string[]): Running {
  const child = spawn(process.execPath, [COMMAND, ...words], { cwd, stdio: ["ignore", "pipe", "pipe"] });
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
