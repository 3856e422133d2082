import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Golden, readGolden } from "../judge/golden.ts";

export * from "../judge/golden.ts";

/** Opens test/golden/<name>. */
export async function openGolden(name: string): Promise<Golden> {
  const folder = fileURLToPath(new URL(`../golden/${name}/`, import.meta.url));
  const file = new Uint8Array(readFileSync(`${folder}golden.safetensors`));
  return readGolden(name, readFileSync(`${folder}config.json`, "utf8"), file);
}
