import crypto from "node:crypto";

/**
 * The SHA-256 of bytes, or of a text's UTF-8, as a string of 32 characters, each of which stands for a byte. Made at one
 * go where the runtime can: a Hash object holds memory until all of the heap is collected, which is rare.
 */
export function sha256(data: string | Uint8Array): string {
  if (typeof crypto.hash !== "function") return crypto.createHash("sha256").update(data).digest("binary");
  return crypto.hash("sha256", data, "binary");
}
