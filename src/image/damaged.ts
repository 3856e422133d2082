import { mismatch, type SiglipError } from "../support/error.ts";

/** The error for a picture of some `kind` ("GIF", "TIFF", …) that is not as it should be. */
export function damaged(kind: string, name: string, wanted: string, found: string): SiglipError {
  const advice = `the ${kind} is damaged or truncated, fetch or export it again`;
  return mismatch("bad-input", name, wanted, found, advice);
}

/** The error for one that may be sound and is not read here. */
export function unusual(kind: string, name: string, wanted: string, found: string): SiglipError {
  return mismatch("unsupported", name, `a ${kind} ${wanted}`, found, "convert the picture to PNG or JPEG");
}
