import { mismatch, shorten } from "../support/error.ts";
import { concatenate } from "../support/numbers.ts";
import { get, type RequestOptions, RetryableError } from "./exchange.ts";

/** How a whole file is fetched. */
export interface FetchOptions extends Pick<RequestOptions, "idle" | "fetch" | "cache"> {
  /** What it is, for errors. */
  readonly wanted: string;
  /** Most bytes; twice as many are held. */
  readonly limit: number;
  readonly signal?: AbortSignal;
}

/**
 * A whole file of a server, asked for once. Rejects with a SiglipError where there is none, where it has more bytes
 * than the limit, where less than a kilobyte a second comes, and with the signal's reason.
 */
export async function fetchBytes(url: URL, options: FetchOptions): Promise<Uint8Array> {
  const { wanted, limit, signal } = options;
  const name = shorten(url);
  checkAddress(url);
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    const exchange = await get(url, {}, options, signal);
    try {
      const { ok, status } = exchange.response;
      if (!ok) {
        const code = status === 404 || status === 410 ? "not-found" : "network";
        throw mismatch(code, name, wanted, `HTTP status ${status}`, "check the address");
      }
      for (let piece = await exchange.read(); piece; piece = await exchange.read()) {
        pieces.push(piece);
        size += piece.length;
        if (size > limit) {
          throw mismatch("bad-input", name, `at most ${limit} bytes`, "more", "check the file and its server");
        }
      }
    } finally {
      exchange.close();
    }
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error;
    const { answered, message, cause } = error;
    if (answered) {
      const found = `its end after ${size} bytes (${message})`;
      throw mismatch("network", name, "all of the answer", found, "try again", cause);
    }
    const cors = globalThis.origin ? " and that its server lets this page read it (CORS)" : "";
    throw mismatch("network", name, wanted, `no answer (${message})`, `check the address${cors}`, cause);
  }
  return concatenate(pieces);
}

/** Throws a SiglipError for a URL with a name or a password in it, which it does not repeat. */
export function checkAddress(url: URL): void {
  if (!url.username && !url.password) return;
  throw mismatch("bad-input", url.host, "a URL without name and password", "one with", "leave them out");
}
