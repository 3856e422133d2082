/**
 * What kind of failure an error is, for callers that skip, retry or stop:
 *
 * - `bad-input`: what the caller passed (a picture, a text, an option, a shape) is damaged or no such thing; skip it or mend it.
 * - `bad-checkpoint`: the model's own files are damaged, incomplete or contradict each other; fetch them again.
 * - `unsupported`: a sound file or request of a kind that this package does not do.
 * - `not-found`: there is no such model, file or page.
 * - `network`: no answer, a cut connection, a server's refusal; trying later may help.
 * - `no-device`: there is no adapter, runtime feature or package to run on.
 * - `device-lost`: the device went away by itself; call again.
 * - `disposed`: the model or backend was disposed.
 * - `out-of-memory`: no room on the host or the device; use less.
 * - `storage`: a disk, cache or browser storage that cannot be read or written.
 */
export type ErrorCode =
  | "bad-input"
  | "bad-checkpoint"
  | "unsupported"
  | "not-found"
  | "network"
  | "no-device"
  | "device-lost"
  | "disposed"
  | "out-of-memory"
  | "storage";

/**
 * Every error this package raises on purpose. The message is one sentence: what was wanted, what was found, what to do.
 * Anything else that reaches a caller is a bug, except what the platform raises for an aborted signal.
 */
export class SiglipError extends Error {
  /** Tells it from other errors where classes do not, between a page and its worker. */
  override readonly name = "SiglipError";
  /** What kind of failure it is. */
  readonly code: ErrorCode;

  constructor(message: string, options: ErrorOptions & { readonly code: ErrorCode }) {
    // A file's or a tensor's name may hold line ends.
    super(message.replace(/[\r\n\u2028\u2029]+/g, " "), options);
    this.code = options.code;
  }
}

/**
 * The one form that errors take: `subject: wanted …, found …; advice.` The subject is a file's, a tensor's, an option's or a
 * call's name; the advice begins with a verb. `mismatch("bad-input", "batch", "a whole number from 1", "0", "leave it out")`.
 */
export function mismatch(
  code: ErrorCode,
  subject: string,
  wanted: string,
  found: string,
  advice: string,
  cause?: unknown,
): SiglipError {
  return new SiglipError(`${subject}: wanted ${wanted}, found ${found}; ${advice}.`, { code, cause });
}

/** A name or a URL as errors show it: without a password, and long ones (data URLs, signed ones) are cut. */
export function shorten(name: string | URL): string {
  const text = String(name).replace(/(^[^/?#]*:|\/\/)[^/?#]*@/, "//…@");
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
