#!/usr/bin/env node
import { setMaxListeners } from "node:events";
import { Command, CommanderError } from "commander";
import { refusal } from "../node/file.ts";
import { SiglipError } from "../support/error.ts";
import { addCommands } from "./commands.ts";
import { readPackageFile } from "./package-file.ts";
import { tell } from "./terminal.ts";

/** Signals that stop the work cleanly, with the exit code that a shell gives each. */
const STOPS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

// What LanceDB logs is for those who asked for it: an index of little is hundreds of lines.
process.env.LANCEDB_LOG ??= "error";

const interrupt = new AbortController();
// Every picture that is being decoded listens to it.
setMaxListeners(0, interrupt.signal);
let stopped: number | undefined;
let status = 0;
let ending = false;

// The second of a kind meets no handler any more and ends the process at once.
for (const [signal, code] of Object.entries(STOPS)) {
  process.once(signal, () => {
    stopped ??= code;
    interrupt.abort();
  });
}
process.stdout.on("error", (error: NodeJS.ErrnoException) => (error.code === "EPIPE" ? leave(0) : lose(error)));
process.stderr.on("error", () => leave(1));
process.on("uncaughtException", fail);

const program = new Command("siglip")
  .description("SigLIP: pictures and texts to vectors, and how well they fit each other.")
  .version(version())
  .exitOverride()
  .configureOutput({ outputError });
addCommands(program, interrupt.signal);
for (const command of program.commands) {
  const name = `siglip ${command.name()}`;
  command.showHelpAfterError(`Try: ${name} --help`);
  for (const inner of command.commands) inner.showHelpAfterError(`Try: ${name} ${inner.name()} --help`);
}
program.showHelpAfterError("Try: siglip --help");

try {
  await program.parseAsync();
  // What ends well when it is told to stop, as a service does, has set its own code.
  leave(Number(process.exitCode ?? stopped ?? 0));
} catch (error) {
  fail(error);
}

/** An error of commander's, which may quote what was typed; the suggestion on a line of its own is one of our names. */
function outputError(text: string, write: (text: string) => void): void {
  const [, message, suggestion = ""] = /^(?:error: )?(.*?)(\n\(Did you mean [^\n]*\))?\n?$/s.exec(text)!;
  tell(message);
  if (suggestion) write(`${suggestion.trim()}\n`);
}

/** Ends with what went wrong in one sentence. Commander has told its own already. */
function fail(error: unknown): void {
  if (ending) return;
  interrupt.abort();
  if (stopped !== undefined) {
    tell(error instanceof DOMException && /^interrupted: /.test(error.message) ? error.message : "interrupted.");
    leave(stopped);
  } else if (error instanceof CommanderError) {
    leave(error.exitCode === 0 ? 0 : 2);
  } else {
    const bug = error instanceof SiglipError ? "" : " (this is a bug of siglip, please report it)";
    tell((error instanceof Error ? error.message : String(error)) + bug);
    leave(1);
  }
}

/** Ends the process once everything printed is out: a WebGPU instance would keep it alive. */
function leave(code: number): void {
  if (ending) return;
  ending = true;
  status = code;
  interrupt.abort();
  // Who was told to stop does not wait for one who has stopped reading.
  if (stopped !== undefined) setTimeout(() => process.exit(code), 1000);
  // What could not be written is told a few ticks later.
  const exit = () => setImmediate(() => process.exit(status));
  process.stdout.write("", () => process.stderr.write("", exit));
}

/** Ends with why the results could not be written, which may be known only when all else has ended well. */
function lose(error: unknown): void {
  if (status === 1) return;
  status = 1;
  tell((refusal("stdout", "write", error) as Error).message);
  leave(1);
}

/** Of package.json. */
function version(): string {
  try {
    return JSON.parse(readPackageFile("package.json")).version;
  } catch {
    return "unknown";
  }
}
