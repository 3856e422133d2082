import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Outcome } from "./run.ts";

/** No case may take longer than this many seconds: it would be a hang, not a slow machine. */
const HANG = 10;

/** The heap, in MiB, in which every case has to do; Node alone takes some 20. */
const HEAP = 96;

/**
 * Runs cases of a target in a process of their own, whose heap is small. Rejects with the case and the command that runs it
 * again where one throws what is no SiglipError, breaks a promise, allocates too much, hangs, or ends the process.
 */
export function fuzz(target: string, first: number, count: number): Promise<Outcome> {
  const script = fileURLToPath(new URL("run.ts", import.meta.url));
  const args = ["--import", "tsx", `--max-old-space-size=${HEAP}`];
  const child = spawn(process.execPath, [...args, script, target, `${first}`, `${count}`]);
  let last = "";
  let errors = "";
  let hangs = false;
  const watch = () =>
    setTimeout(() => {
      hangs = true;
      child.kill("SIGKILL");
    }, HANG * 1000);
  let timer = watch();
  createInterface(child.stdout).on("line", (line) => {
    last = line;
    clearTimeout(timer);
    timer = watch();
  });
  child.stderr.on("data", (data) => {
    errors = (errors + data).slice(-4000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0 && last.startsWith("{")) return resolve(JSON.parse(last));
      const how = hangs ? `took more than ${HANG} s` : `ended its process (${signal ?? `exit code ${code}`})`;
      const again = `node ${args.join(" ")} test/fuzz/run.ts ${last} 1`;
      reject(new Error(`The fuzz case "${last}" ${how}; again: ${again}\n${errors}`));
    });
  });
}
