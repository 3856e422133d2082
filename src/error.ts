/**
 * Every error this package raises on purpose. The message is one sentence: what was wanted, what was found, what to do.
 * Anything else that reaches a caller is a bug, except what the platform raises for an aborted signal.
 */
export class SiglipError extends Error {
  /** Tells it from other errors where classes do not, between a page and its worker. */
  override readonly name = "SiglipError";
}
