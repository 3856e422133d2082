import { spawn } from "node:child_process";
import { embedKernels } from "../../kernels/generate.ts";
import { adapterEnvironment } from "./adapter.ts";

/**
 * `tsx test/harness/run.ts -- command…` runs any command where the test adapter is found and the kernels are as their
 * files say, and ends as the command ended.
 */
const [command, ...rest] = process.argv.slice(process.argv[2] === "--" ? 3 : 2);
if (command === undefined) {
  console.error("Wanted a command to run: tsx test/harness/run.ts -- command…");
  process.exit(2);
}
embedKernels();
// npm's commands are .cmd files on Windows, which only a shell starts.
const child = spawn(command, rest, {
  stdio: "inherit",
  shell: process.platform === "win32",
  env: { ...process.env, ...adapterEnvironment() },
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`${command} did not start: ${error.message}`);
  process.exit(1);
});
child.on("close", (code) => process.exit(code ?? 1));
