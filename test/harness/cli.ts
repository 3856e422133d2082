import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { BUNDLE } from "./bundle-cli.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The command line, bundled as the tests began, for a shell or for spawn. */
export const CLI = [process.execPath, BUNDLE];

/** A folder for one test file; call `remove` at the end. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "siglip-cli-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** How a process ended and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a test does beside waiting. `onOutput` sees all of stdout so far, whenever there is more of it. */
export interface Running {
  readonly input?: string;
  readonly env?: Record<string, string>;
  readonly onOutput?: (stdout: string, child: ChildProcess) => void;
}

/** Runs `siglip` with the repository as its folder. */
export function siglip(args: readonly string[], running?: Running): Promise<Ended> {
  return launch([...CLI, ...args], running);
}

/** Why there is no pseudo-terminal, or undefined: util-linux has a program for one, macOS another by the same name. */
export const NO_TERMINAL =
  process.platform === "linux" && existsSync("/usr/bin/script") ? undefined : "there is no script of util-linux here";

/** Runs a shell command on a terminal of its own, whose stdout and stderr come as one; its stdin is held open. */
export function onTerminal(command: string, running: Running = {}): Promise<Ended> {
  return launch(
    ["/usr/bin/script", "--quiet", "--return", "--flush", "--command", command, "/dev/null"],
    running,
    true,
  );
}

/** `siglip` and its arguments as a shell's words. */
export function words(args: readonly string[]): string {
  return [...CLI, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

function launch([file, ...args]: readonly string[], running: Running = {}, open = false): Promise<Ended> {
  const env: NodeJS.ProcessEnv = { ...process.env, TERM: "xterm-256color", ...running.env };
  // What a caller's terminal or a build server prefers must not decide.
  // Node counts a CI as no terminal for colours.
  for (const name of ["NO_COLOR", "FORCE_COLOR", "CI"]) if (!running.env?.[name]) delete env[name];
  const child = spawn(file, args, { cwd: root, env });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    running.onOutput?.(stdout, child);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin.on("error", () => {});
  if (!open) child.stdin.end(running.input ?? "");
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** A failure is one sentence on stderr, without a stack trace, and nothing on stdout. */
export function failed({ code, stdout, stderr }: Ended, why: RegExp): void {
  expect(stderr).toMatch(why);
  expect(stderr).toMatch(/^siglip: [^\n]+\.\n$/);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
}

/** Wrong usage is told with a hint at the help. */
export function refused({ code, stdout, stderr }: Ended, why: RegExp): void {
  expect(stderr).toMatch(why);
  expect(stderr).toMatch(/^siglip: .*\nTry: siglip( [a-z]+){0,2} --help\n$/s);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
}
