import { mismatch, shorten } from "../support/error.ts";

/** How a server is asked. */
export interface RequestOptions {
  /**
   * An access token, sent as `Authorization: Bearer …` to the URL's own origin (scheme, host, port) and no other.
   */
  readonly token?: string;
  /** Milliseconds without a byte after which a connection counts as cut: 60,000 by default. */
  readonly idle?: number;
  /** Milliseconds before the first retry, doubled for every further one: 500 by default. */
  readonly pause?: number;
  /** What asks, in place of the platform's own: with a proxy, say. */
  readonly fetch?: (url: URL, init: RequestInit) => Promise<Response>;
  /** What the platform's own cache is for: nothing by default, since models are kept by other means. */
  readonly cache?: "default" | "no-store";
  /**
   * Whether a web page means that there is no such file, as it does by default. A Hub says that by a status: there it
   * is a portal's.
   */
  readonly pages?: boolean;
}

/** What may be over when asked again: no connection, a cut one, a server that is busy. */
export class RetryableError extends Error {
  /** Milliseconds that the server wants to be left alone, if it said so. */
  readonly wait: number | undefined;
  /** Whether a server answered at all. */
  readonly answered: boolean;

  constructor(found: string, answered = true, wait?: number, cause?: unknown) {
    super(found, { cause });
    this.answered = answered;
    this.wait = wait;
  }
}

/** An answer's head, and its body a piece at a time. */
export interface Exchange {
  readonly response: Response;
  /** Where the bytes came from: the URL behind all redirects. */
  readonly url: URL;
  /** A header of the first answer on the way that has it, redirects included where the platform shows them. */
  first(header: string): string | undefined;
  /** The next piece of the body, or undefined at its end; rejects with RetryableError where the connection is cut. */
  read(): Promise<Uint8Array | undefined>;
  /** Ends it; what has not been read is not transferred. */
  close(): void;
}

const REDIRECTS = [301, 302, 303, 307, 308];
const MOST_REDIRECTS = 10;

/** Bytes a second that a connection has to bring in each of its idle times, lest it count as cut. */
const LEAST_RATE = 1024;

/** Whether the way from one place to the other leaves what is encrypted. */
function isDowngrade(from: URL, to: URL): boolean {
  return from.protocol === "https:" && to.protocol === "http:";
}

/**
 * GET, redirects followed by ourselves, so that each hop's headers are seen and the token stays with its origin.
 * Pages may not look at a redirect: there `fetch` follows it, which drops `Authorization` for another origin in every
 * browser that has `URL.canParse`. Rejects with RetryableError where nobody answers, with a SiglipError for what is no
 * answer, and with the signal's reason.
 */
export async function get(
  start: URL,
  headers: Readonly<Record<string, string>>,
  { token, idle = 60_000, fetch: send = fetch, cache = "no-store" }: RequestOptions,
  signal?: AbortSignal,
): Promise<Exchange> {
  signal?.throwIfAborted();
  const abort = new AbortController();
  const onAbort = () => abort.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  const close = () => {
    signal?.removeEventListener("abort", onAbort);
    abort.abort();
  };
  /** Awaits a step of the exchange no longer than a time. */
  const within = async <R>(step: Promise<R>, answered: boolean, limit = idle, late = "no byte"): Promise<R> => {
    const timer = setTimeout(() => abort.abort(new Error(`${late} within ${idle / 1000} seconds`)), limit);
    try {
      return await step;
    } catch (cause) {
      const aborted = abort.signal.aborted ? abort.signal.reason : undefined;
      close();
      if (signal?.aborted) throw signal.reason;
      throw new RetryableError(reason(aborted ?? cause), answered, undefined, cause);
    } finally {
      clearTimeout(timer);
    }
  };
  const badRedirect = (hops: number, to: string) => {
    close();
    const wanted = `at most ${MOST_REDIRECTS} redirects, by http or https and never from https to http`;
    return mismatch("network", shorten(start), wanted, `${hops} up to ${shorten(to)}`, "check the address");
  };
  const ask = (url: URL, redirect: RequestRedirect) => {
    const authorised = token !== undefined && url.origin === start.origin;
    // Some platforms know no word for what happens anyway.
    const init = { redirect, signal: abort.signal, cache: cache === "default" ? undefined : cache };
    // Bytes as they are stored, which Bun has to be told; pages leave the header out.
    const all: Record<string, string> = { "Accept-Encoding": "identity", ...headers };
    if (authorised) all.Authorization = `Bearer ${token}`;
    return within(send(url, { ...init, headers: all }), false);
  };

  /** Bytes that came, and milliseconds waited for them, since the rate was looked at last. */
  let [came, waited] = [0, 0];
  const readOn = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> => {
    const least = Math.floor((LEAST_RATE * idle) / 1000);
    const began = performance.now();
    const { value } = await within(
      reader.read(),
      true,
      Math.max(0, idle - waited),
      came > 0 ? `${came} bytes` : "no byte",
    );
    // Only waiting counts: whoever takes long with what came makes no server slow.
    waited += performance.now() - began;
    came += value?.length ?? 0;
    if (came >= least) [came, waited] = [0, 0];
    return value;
  };

  const seen: Headers[] = [];
  let url = start;
  for (let hops = 0; ; hops++) {
    let response = await ask(url, "manual");
    if (response.type === "opaqueredirect") response = await ask(url, "follow");
    seen.push(response.headers);
    const location = REDIRECTS.includes(response.status) ? response.headers.get("Location") : undefined;
    if (!location) {
      const reader = response.body?.getReader();
      if (isDowngrade(start, new URL(response.url || url))) throw badRedirect(hops + 1, response.url);
      return {
        response,
        url: new URL(response.url || url),
        first: (header) => seen.find((one) => one.has(header))?.get(header) ?? undefined,
        read: async () => reader && readOn(reader),
        close,
      };
    }
    await response.body?.cancel().catch(() => {});
    const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
    const sound = next && /^https?:/.test(next.protocol) && !(next.username || next.password);
    if (!sound || hops === MOST_REDIRECTS || isDowngrade(url, next)) throw badRedirect(hops + 1, location);
    url = next;
  }
}

/** Failures in a row after which there is no further try, and how many where no server has ever answered. */
const FAILURES = 5;
const FAILURES_UNKNOWN = 2;

/** The longest that a server may ask us to wait, in milliseconds. */
const LONGEST_WAIT = 60_000;

/** Counts failures in a row and waits between them. */
export class Patience {
  private readonly name: string;
  private readonly pause: number;
  private failures = 0;

  constructor(name: string, { pause = 500 }: RequestOptions) {
    this.name = name;
    this.pause = pause;
  }

  /** Whoever got on meanwhile has all tries again. */
  forgive(): void {
    this.failures = 0;
  }

  /** Resolves when the time has come to try again; rejects with a SiglipError when that makes no sense any more. */
  async after(failure: unknown, wanted: string, signal?: AbortSignal): Promise<void> {
    if (!(failure instanceof RetryableError)) throw failure;
    this.failures++;
    const { message, answered, wait, cause } = failure;
    const fail = (found: string, advice: string) => {
      throw mismatch("network", this.name, wanted, found, advice, cause);
    };
    if (wait !== undefined && wait > LONGEST_WAIT) {
      fail(`${message} and the wish to be asked again in ${Math.ceil(wait / 1000)} seconds`, "try again then");
    }
    if (this.failures >= (answered ? FAILURES : FAILURES_UNKNOWN)) {
      if (answered) fail(`${message}, ${this.failures} times in a row`, "try again later");
      const cors = globalThis.origin ? ", and that its server lets this page read it (CORS)" : "";
      fail(`no answer (${message})`, `check the address and the connection${cors}`);
    }
    // Spread, so that many who lost the same server do not come back as one.
    const backoff = this.pause * 2 ** (this.failures - 1) * (0.75 + Math.random() / 2);
    await sleep(Math.max(wait ?? 0, backoff), signal);
  }
}

/**
 * Milliseconds that `Retry-After` asks for, in seconds or as a date by the server's own clock; undefined where it says
 * nothing.
 */
export function retryAfter(headers: Headers): number | undefined {
  const value = headers.get("Retry-After");
  if (value === null) return undefined;
  if (/^\d+$/.test(value.trim())) return 1000 * Number(value);
  if (!/ GMT\s*$/.test(value)) return undefined;
  const wait = Date.parse(value) - (Date.parse(headers.get("Date") ?? "") || Date.now());
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** What the platform says of a failure; Node hides it in the cause. */
function reason(error: unknown): string {
  const { message, cause } = error as Error;
  const inner = (cause as Error | undefined)?.message;
  return (inner || message || "a cut connection").replace(/\s+/g, " ").replace(/[.;]$/, "");
}
