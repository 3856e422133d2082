import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestContext } from "vitest";
import { execute } from "../../package/project.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

/** The node_modules folder with what package.json beside this file names, installed where it is missing. */
export async function installPackages(): Promise<string> {
  const modules = join(here, "node_modules");
  const installed = join(modules, ".package-lock.json");
  const lock = join(here, "package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    // Not `npm ci`: it refuses a lock without the optional packages for other systems.
    await execute("npm", ["install", "--no-save", "--ignore-scripts"], { cwd: here });
  }
  return modules;
}

/** The same; the test is skipped where there is no network. */
export async function packagesFolder({ skip }: TestContext): Promise<string> {
  try {
    return await installPackages();
  } catch (error) {
    if (!/network|ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT/.test((error as Error).message)) throw error;
    return skip("the registry is out of reach and the packages in test/node/formats are not installed");
  }
}
