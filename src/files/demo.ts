import { bytesSource } from "../checkpoint/source.ts";
import { mismatch } from "../support/error.ts";
import type { ModelFiles } from "./model-files.ts";

/** The files of the embedded demo model: 7 MB of script, in a module of its own that is loaded here and only here. */
export async function demoFiles(): Promise<ModelFiles> {
  const files = new Map(Object.entries(await importDemo()));
  return {
    name: "demo",
    async open(file) {
      const text = files.get(file);
      return text === undefined ? undefined : bytesSource(decodeBase64(text), file);
    },
    async close() {},
  };
}

async function importDemo(): Promise<Readonly<Record<string, string>>> {
  try {
    return (await import("../../weights/demo.generated.ts")).default;
  } catch (cause) {
    throw mismatch(
      "not-found",
      "the demo model",
      "its module",
      `that it does not load (${(cause as Error).message})`,
      "serve it beside the script, or in this project's checkout run npm run generate",
      cause,
    );
  }
}

function decodeBase64(text: string): Uint8Array {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
