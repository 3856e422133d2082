/**
 * Every error this package raises on purpose. The message is one sentence: what was wanted, what was found, what to do.
 * Anything else that reaches a caller is a bug, except what the platform raises for an aborted signal.
 */
export class SiglipError extends Error {
  /** Tells it from other errors where classes do not, between a page and its worker. */
  override readonly name = "SiglipError";
}

/** A name or a URL as errors show it: long ones (data URLs, signed ones) are cut. */
export function shorten(name: string | URL): string {
  const text = String(name);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
