import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Outcome } from "./run.ts";

/** No case may take longer than this many seconds: it would be a hang, not a slow machine. */
const HANG = 10;

/** The heap, in MiB, in which every case has to do; Node alone takes some 20. */
const HEAP = 96;

/**
 * Runs cases of a target in a process of their own, whose heap is small. Rejects with the case and the command that
 * runs it again where one throws what is no SiglipError, breaks a promise, allocates too much, hangs, or ends the
 * process.
 */
export async function fuzz(target: string, first: number, count: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "siglip-fuzz-"));
  const file = join(folder, "output");
  try {
    const failure = await run(file, [target, `${first}`, `${count}`]);
    const last = readFileSync(file, "utf8").trimEnd().split("\n").at(-1)!;
    if (failure === undefined) return JSON.parse(last);
    const again = `node --import tsx --max-old-space-size=${HEAP} test/fuzz/run.ts ${last} 1`;
    throw new Error(`The fuzz case ${last} ${failure.replace("\n", `; again: ${again}\n`)}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Runs the process, its output in a file, which takes what is written even by a process that hangs; says how it failed.
 */
function run(file: string, args: readonly string[]): Promise<string | undefined> {
  const script = fileURLToPath(new URL("run.ts", import.meta.url));
  const output = openSync(file, "w");
  const options = ["--import", "tsx", `--max-old-space-size=${HEAP}`];
  const child = spawn(process.execPath, [...options, script, ...args], { stdio: ["ignore", output, "pipe"] });
  closeSync(output);
  let errors = "";
  child.stderr!.on("data", (data) => {
    errors = (errors + data).slice(-4000);
  });
  let [size, seconds] = [0, 0];
  const watch = setInterval(() => {
    const now = statSync(file).size;
    seconds = now === size ? seconds + 1 : 0;
    size = now;
    if (seconds > HANG) child.kill("SIGKILL");
  }, 1000);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearInterval(watch);
      const how = seconds > HANG ? `took more than ${HANG} s` : `ended its process (${signal ?? `exit code ${code}`})`;
      resolve(code === 0 ? undefined : `${how}\n${errors}`);
    });
  });
}
