// What a server's answer says of a file.
import { mismatch } from "../support/error.ts";
import { type Exchange, RetryableError, retryAfter } from "./exchange.ts";

/** Whether an answer says that there is no such file. */
export function isAbsent({ status }: Response, code: string | undefined): boolean {
  return (status === 404 || status === 410) && code !== "RepoNotFound" && code !== "RevisionNotFound";
}

/** Whether an answer is a web page, which no file of a model is. */
export function isPage({ ok, headers }: Response): boolean {
  return ok && (headers.get("Content-Type")?.startsWith("text/html") ?? false);
}

/** Throws for an answer that is no file: a SiglipError, or a RetryableError where that may be over soon. */
export function checkStatus({ response, first }: Exchange, name: string): void {
  const { status, headers } = response;
  if (status === 200 || status === 206) return;
  const found = `HTTP status ${status}`;
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    throw new RetryableError(found, true, retryAfter(headers));
  }
  const code = first("X-Error-Code");
  const missing = code === "RepoNotFound" || status === 404;
  const advice = missing
    ? "check the model's id and revision, and pass a token where it is private"
    : status === 401 || status === 403
      ? "accept the model's licence on its page and pass a token that may read it"
      : "check the address";
  const detail = code ? `${found} (${code})` : found;
  throw mismatch(missing ? "not-found" : "network", name, "a file of the model", detail, advice);
}

/** What tells one content from another at one place. */
export function markOf({ headers }: Response): string | undefined {
  return headers.get("ETag") ?? headers.get("Last-Modified") ?? undefined;
}

/** A strong entity tag without its quotes. */
export function strong(tag: string | null | undefined): string | undefined {
  return /^"([^"]+)"$/.exec(tag ?? "")?.[1];
}

/** Length of a body that is sent as it is stored. */
export function lengthOf({ headers }: Response): number | undefined {
  const length = headers.get("Content-Length");
  return length === null || headers.has("Content-Encoding") ? undefined : Number(length);
}
