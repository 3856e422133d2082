import { mismatch, type SiglipError } from "../../support/error.ts";

/** The error where a runtime does not compile kernels; a chunk of its own in a bundle. */
export function refused(cause: Error): SiglipError {
  const advice =
    'allow "wasm-unsafe-eval" where a Content-Security-Policy forbids it, import "siglip/workerd" where a platform does (its kernels are compiled before), or use backend "cpu"';
  return mismatch("no-device", "wasm", "kernels that compile", cause.message, advice, cause);
}
