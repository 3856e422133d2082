import { createRequire } from "node:module";
import { mismatch } from "../../support/error.ts";

/**
 * A package that is installed only where its format is used: beside this one, or in a folder of NODE_PATH. Throws a
 * SiglipError that says what to install where there is none, and why where one does not load.
 */
export function peer<T>(name: string, file: string): T {
  try {
    return createRequire(import.meta.url)(name);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const [said] = message.split("\n");
    const missing = code === "MODULE_NOT_FOUND" && said.includes(`'${name}'`);
    const found = missing ? "none" : `one that does not load (${said})`;
    throw mismatch("no-device", file, `the package ${name} for this format`, found, `run npm install ${name}`, error);
  }
}
