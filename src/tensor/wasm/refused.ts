import { mismatch, type SiglipError } from "../../support/error.ts";

/** The error where a runtime does not compile kernels; a chunk of its own in a bundle. */
export function refused(cause: Error): SiglipError {
  const advice = /embedder/.test(cause.message)
    ? 'bundle with the export condition "workerd", or import "siglip/workerd", whose kernels are compiled before'
    : 'allow "wasm-unsafe-eval" where a Content-Security-Policy forbids it, or use backend "cpu"';
  return mismatch("no-device", "wasm", "kernels that compile", cause.message, advice, cause);
}
