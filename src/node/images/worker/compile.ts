import { inflateSync } from "node:zlib";
import type { Embedded } from "./codec.ts";

/** Compiles the decoder; `change` may edit the program before. */
export async function compile({ wasm }: Embedded, change?: (program: Buffer) => void): Promise<WebAssembly.Module> {
  const program = inflateSync(Buffer.from(wasm, "base64"));
  change?.(program);
  return await WebAssembly.compile(new Uint8Array(program));
}
