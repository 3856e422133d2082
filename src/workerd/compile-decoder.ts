// In place of src/node/images/worker/compile.ts where code may not be made at run time.
import { mismatch } from "../support/error.ts";

/** The decoder that was compiled beforehand; what would have to be edited was not. */
export async function compile(
  { wasm }: { readonly wasm: WebAssembly.Module },
  change?: (program: never) => void,
): Promise<WebAssembly.Module> {
  if (change) throw mismatch("unsupported", "a picture", "a JPEG of grey or RGB", "one of CMYK", "convert it to RGB");
  return wasm;
}
