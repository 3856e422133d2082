import { mismatch } from "../support/error.ts";
import { unescapeHtml } from "./html.ts";

/**
 * The canonical form of open_clip; a SiglipError for a dialect of another name. `plain` deletes punctuation and
 * squeezes white space.
 */
export function openClip(dialect: string, plain: (text: string) => string): (text: string) => string {
  if (dialect !== "open_clip") {
    const found = JSON.stringify(dialect) ?? "none";
    throw mismatch("bad-input", "dialect", `"hf", "big_vision" or "open_clip"`, found, "choose one");
  }
  // In open_clip's order: whether a sigma is final can depend on the punctuation around it.
  return (text) => plain(unescapeHtml(unescapeHtml(text)).replaceAll("_", " ")).toLowerCase();
}
