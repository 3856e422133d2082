import { createRequire } from "node:module";
import { mismatch, type SiglipError } from "../../support/error.ts";

/**
 * A package that is installed only where its format is used: beside this one, or in a folder of NODE_PATH; or one that
 * `owner` has. Throws a SiglipError that says what to install where there is none, and why where one does not load.
 */
export function peer<T>(name: string, file: string, owner?: string): T {
  try {
    const require = createRequire(import.meta.url);
    return owner === undefined ? require(name) : createRequire(require.resolve(owner))(name);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const [said] = message.split("\n");
    const missing = code === "MODULE_NOT_FOUND" && said.includes(`'${name}'`);
    throw missing ? unfit(name, file, "none", error) : notLoading(name, file, error);
  }
}

/** Says of a package that it is there and does not load. */
export function notLoading(name: string, file: string, error: unknown): SiglipError {
  const [said] = (error as Error).message.split("\n");
  return unfit(name, file, `one that does not load (${said.replace(/:$/, "")})`, error);
}

function unfit(name: string, file: string, found: string, error: unknown): SiglipError {
  return mismatch("no-device", file, `the package ${name} for this format`, found, `run npm install ${name}`, error);
}
