import { type ErrorCode, mismatch, SiglipError } from "../support/error.ts";
import { FullError, ItemError } from "./batcher.ts";

/** What a request is answered with that is not done: a status, and an error in the form that OpenAI's clients read. */
export class Refusal extends Error {
  /** Of HTTP. */
  readonly status: number;
  /** For programs, such as "model_not_found". */
  readonly code: string;
  /** The part of the request that is at fault. */
  readonly param: string | null;
  /** Seconds after which another try makes sense. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    message: string,
    { code, param = null, retryAfter }: { code: string; param?: string | null; retryAfter?: number },
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.retryAfter = retryAfter;
  }

  /** The answer's body. */
  get body(): { error: { message: string; type: string; param: string | null; code: string } } {
    const { message, param, code, status } = this;
    const type = status === 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
    return { error: { message, type, param, code } };
  }
}

/** A request that is wrong in itself, told in the one grammar of this package's errors. */
export function bad(param: string, wanted: string, found: string, advice: string, status = 400): Refusal {
  const { message } = mismatch("bad-input", param, wanted, found, advice);
  return new Refusal(status, message, { code: status === 413 ? "too_large" : "invalid_value", param });
}

/** Statuses of what goes wrong with an item or the model; what is not here is nobody's fault but ours. */
const STATUS: Partial<Record<ErrorCode, readonly [status: number, code: string]>> = {
  "bad-input": [400, "invalid_value"],
  unsupported: [400, "unsupported_value"],
  "not-found": [400, "invalid_value"],
  network: [400, "invalid_value"],
  "device-lost": [503, "overloaded"],
  "no-device": [503, "overloaded"],
  "out-of-memory": [503, "overloaded"],
  disposed: [503, "shutting_down"],
};

/** What any error is answered with, or undefined for a fault of the service, of which a stranger is told nothing. */
export function toRefusal(error: unknown, param = "input"): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (error instanceof FullError) {
    return new Refusal(429, error.message, { code: "rate_limit_exceeded", retryAfter: error.retryAfter });
  }
  if (error instanceof ItemError) return toRefusal(error.cause, `${param}[${error.index}]`);
  if (!(error instanceof SiglipError) || !STATUS[error.code]) return undefined;
  const [status, code] = STATUS[error.code]!;
  if (status === 503) return new Refusal(503, error.message, { code, retryAfter: 1 });
  // The decoders' words for a picture with too many pixels.
  const large = error.code === "bad-input" && /wanted at most \d+ (pixels|bytes)/.test(error.message);
  const message = `${param}: ${error.message}`;
  return large
    ? new Refusal(413, message, { code: "too_large", param })
    : new Refusal(status, message, { code, param });
}
