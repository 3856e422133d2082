import { mismatch, type SiglipError } from "../support/error.ts";

/** A SiglipError for a file that is no sound model. */
export function invalid(wanted: string, found: string): SiglipError {
  return mismatch("bad-checkpoint", "tokenizer model", wanted, found, "fetch it again");
}
