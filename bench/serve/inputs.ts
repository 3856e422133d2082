import { readdirSync, readFileSync } from "node:fs";

const folder = new URL("../../weights/demo/eval/", import.meta.url);

/** Most bytes of a request's body. */
export const BODY = 2 ** 26;

/** The captions of the demo's retrieval set. */
export const TEXTS: readonly string[] = readFileSync(new URL("captions.jsonl", folder), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line).caption);

/** Its pictures, as files. */
export function pictures(): readonly Uint8Array[] {
  const names = readdirSync(folder).filter((name) => /\.(png|jpg)$/.test(name));
  return names.sort().map((name) => readFileSync(new URL(name, folder)));
}
