import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { findProgram } from "./driver.ts";

const xvfb = findProgram("Xvfb");

/** Why there can be no display. */
export const noDisplay = xvfb ? undefined : "no Xvfb is installed";

/** An X display without a screen. */
export interface Display extends AsyncDisposable {
  /** For the environment variable DISPLAY. */
  readonly name: string;
}

/** Starts one on a number that is free. */
export async function startDisplay(): Promise<Display> {
  const args = ["-displayfd", "3", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"];
  const process = spawn(xvfb!, args, { stdio: ["ignore", "ignore", "ignore", "pipe"] });
  const [number] = await once(process.stdio[3]!, "data");
  return { name: `:${String(number).trim()}`, [Symbol.asyncDispose]: () => end(process) };
}

/** Ends a process, and waits until it has. */
export async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null) return;
  process.kill();
  await once(process, "exit");
}
