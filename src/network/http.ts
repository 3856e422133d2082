import { checkRange } from "../checkpoint/source.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import { concatenate } from "../support/numbers.ts";
import { checkStatus, isAbsent, isPage, lengthOf, markOf, strong } from "./answers.ts";
import { type Exchange, get, Patience, type RequestOptions, RetryableError } from "./exchange.ts";
import { checkAddress } from "./request.ts";

/** A file on a server. */
export interface RemoteFile {
  /** As it was asked for, before redirects. */
  readonly url: string;
  /** Shown in errors. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Strong validator of the content, without quotes: `X-Linked-ETag` (the Hub's sha256 of a large file), else a strong
   * `ETag`.
   */
  readonly etag?: string;
  /** What the server tells contents by, were it weakly: `X-Linked-ETag`, an `ETag` of any kind, or `Last-Modified`. */
  readonly mark?: string;
  /** The commit that a Hub served the file from: `X-Repo-Commit`. */
  readonly commit?: string;
  /**
   * Whether the server answers Range requests. Where it does not, every `stream` begins at the file's first byte and
   * skips.
   */
  readonly ranges: boolean;
  /**
   * The bytes [offset, offset + length) as they arrive, in pieces of any length; a cut connection is resumed. Rejects
   * with a SiglipError where the server keeps failing, where an answer is not the bytes asked for, and where the file
   * has changed since it was opened.
   */
  stream(offset: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array>;
}

/** Options of `openRemote`. */
export interface RemoteOptions extends RequestOptions {
  readonly signal?: AbortSignal;
}

/** Bytes that come with the first answer: small files and most headers of large ones need no second request. */
const FIRST = 2 ** 16;

/** Most bytes kept in memory of a file whose server knows no ranges: such a file is read whole at once. */
export const WHOLE = 2 ** 24;

/** Bytes that count as getting on: after them, failures are counted anew. */
const PROGRESS = 2 ** 16;

/**
 * A file on a server or among an application's own (`chrome-extension:`), or undefined where there is none: status 404
 * or 410, or a web page, with which servers of single-page applications answer for what they lack. Rejects with a
 * SiglipError for every other answer that is not the file's bytes.
 */
export async function openRemote(url: URL, options: RemoteOptions = {}): Promise<RemoteFile | undefined> {
  checkAddress(url);
  if (options.token !== undefined && !/^[\x21-\x7e]+$/.test(options.token)) {
    throw mismatch("bad-input", "token", "printable characters without spaces", "others", "copy the token again");
  }
  const file = new HttpFile(url, options);
  const patience = new Patience(file.name, options);
  for (;;) {
    try {
      return (await file.open(options.signal)) ? file : undefined;
    } catch (error) {
      // Who reads an application's own files has no status to say that one is missing: `fetch` fails.
      if (isOwn(url) && error instanceof RetryableError && !error.answered) return undefined;
      await patience.after(error, "a file of the model", options.signal);
    }
  }
}

/** Where the file was served from the last time, and what that place said of its content. */
interface Place {
  readonly url: URL;
  readonly mark: string | undefined;
}

class HttpFile implements RemoteFile {
  readonly url: string;
  readonly name: string;
  size = 0;
  etag?: string;
  commit?: string;
  ranges = true;
  private readonly start: URL;
  private readonly options: RequestOptions;
  /** The file's first bytes; all of them where the server knows no ranges and they are at most WHOLE. */
  private head: Uint8Array = new Uint8Array(0);
  mark: string | undefined;
  /** Behind the redirects, asked directly as long as it answers. */
  private place: Place | undefined;
  /** Whether ranges come with status 200 and no word of where they lie, as files of an extension do. */
  private tacit = false;
  /** Whether an If-Range header costs no preflight, which servers of files refuse. */
  private plain = true;

  constructor(url: URL, options: RequestOptions) {
    this.start = url;
    this.url = this.name = url.href;
    this.options = options;
  }

  /** The first request; false where the server has no such file. */
  async open(signal?: AbortSignal): Promise<boolean> {
    const exchange = await get(this.start, { Range: `bytes=0-${FIRST - 1}` }, this.options, signal);
    try {
      const { response, url } = exchange;
      const { status, headers } = response;
      if (isAbsent(response, exchange.first("X-Error-Code"))) return false;
      if (isPage(response)) {
        if (this.options.pages !== false) return false;
        throw mismatch(
          "network",
          this.name,
          "a file of the model",
          "a web page",
          "sign in to the network, or check the endpoint",
        );
      }
      // No range lies within a file of no bytes.
      if (status !== 416 || !/^bytes \*\/0$/.test(headers.get("Content-Range") ?? "bytes */0")) {
        checkStatus(exchange, this.name);
        this.ranges = status === 206;
        if (this.ranges) this.size = this.range(response, 0).size;
        else this.size = lengthOf(response) ?? -1;
        // A large file without ranges is asked for again, when it is known where its bytes go.
        if (this.ranges || this.size <= WHOLE) this.head = await this.readHead(exchange);
        if (this.size < 0) await this.measure(signal);
      }
      this.mark = exchange.first("X-Linked-ETag") ?? markOf(response);
      this.etag = strong(exchange.first("X-Linked-ETag") ?? headers.get("ETag"));
      // It becomes part of paths and URLs.
      this.commit = /^[0-9a-f]{40}$/.exec(exchange.first("X-Repo-Commit") ?? "")?.[0];
      this.plain = response.type !== "cors";
      this.place = { url, mark: markOf(response) };
      return true;
    } finally {
      exchange.close();
    }
  }

  async *stream(offset: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const end = offset + length;
    checkRange(this, offset, length);
    let at = offset;
    if (at < Math.min(end, this.head.length)) {
      const known = this.head.subarray(at, end);
      at += known.length;
      yield known;
    }
    const patience = new Patience(this.name, this.options);
    for (let since = at; at < end; ) {
      try {
        for await (const bytes of this.transfer(at, end, signal)) {
          at += bytes.length;
          yield bytes;
        }
        if (at < end) throw new RetryableError(`its end after ${at - offset} bytes`);
      } catch (error) {
        if (at - since >= PROGRESS) patience.forgive();
        since = at;
        await patience.after(error, `bytes ${offset} to ${end}`, signal);
      }
    }
  }

  /**
   * The bytes from `at` on that one request brings: up to `end`, or fewer where the answer is shorter or its connection
   * cut.
   */
  private async *transfer(at: number, end: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const exchange = await this.ask(at, end, signal);
    try {
      let skip = this.ranges ? 0 : at;
      const last = Math.min(end, this.lastOf(exchange.response, at) + 1);
      while (at < last) {
        const bytes = await exchange.read();
        if (!bytes) return;
        const wanted = bytes.subarray(skip, skip + last - at);
        skip = Math.max(0, skip - bytes.length);
        at += wanted.length;
        if (wanted.length > 0) yield wanted;
        if (this.ranges && wanted.length < bytes.length) throw this.tooLong(last);
      }
      // The end of the answer is read too, so that its connection serves again.
      if (this.ranges && (await exchange.read())) throw this.tooLong(last);
    } finally {
      exchange.close();
    }
  }

  /**
   * Asks where the file was served from last, else at its URL, and makes sure that the answer is of the same content.
   */
  private async ask(at: number, end: number, signal?: AbortSignal): Promise<Exchange> {
    const { place } = this;
    const url = place?.url ?? this.start;
    const direct = url.href !== this.start.href;
    const headers: Record<string, string> = {};
    if (this.ranges) {
      headers.Range = `bytes=${at}-${end - 1}`;
      if (this.plain && strong(place?.mark)) headers["If-Range"] = place!.mark!;
    }
    const { token, ...others } = this.options;
    const exchange = await get(url, headers, url.origin === this.start.origin ? this.options : others, signal);
    try {
      const { response } = exchange;
      const { status } = response;
      if (direct && status >= 400 && status < 500 && status !== 429) {
        // A signed address has run out; the URL itself leads to the next.
        this.place = undefined;
        throw new RetryableError(`HTTP status ${status} behind a redirect`);
      }
      if (status === 404 || status === 410 || status === 416) throw this.changed("none");
      checkStatus(exchange, this.name);
      const mark = direct ? markOf(response) : (exchange.first("X-Linked-ETag") ?? markOf(response));
      if (mark !== (direct ? place?.mark : this.mark)) throw this.changed("another version");
      this.place = { url: exchange.url, mark: markOf(response) };
      return exchange;
    } catch (error) {
      exchange.close();
      throw error;
    }
  }

  /**
   * The last byte's offset in an answer that begins at `at` as it was asked to, of a file as long as the one that was
   * opened.
   */
  private lastOf(response: Response, at: number): number {
    if (!this.ranges) {
      const length = lengthOf(response) ?? this.size;
      if (length !== this.size) throw this.changed(`${length} bytes`);
      return this.size - 1;
    }
    if (this.tacit && response.status === 200) return this.size - 1;
    if (response.status !== 206) throw this.changed("a server that ignores Range requests");
    const { last, size } = this.range(response, at);
    if (size !== this.size) throw this.changed(`${size} bytes`);
    return last;
  }

  /**
   * The size where the answer says none: what came is all, unless it ends where the range that was asked for does, or
   * was too much to keep, as an extension's files are in Firefox, which knows no ranges.
   */
  private async measure(signal?: AbortSignal): Promise<void> {
    this.size = this.head.length;
    if (this.size !== FIRST && this.size !== 0) return;
    const exchange = await get(this.start, {}, this.options, signal);
    try {
      checkStatus(exchange, this.name);
      const most = isOwn(this.start) ? Number.POSITIVE_INFINITY : WHOLE;
      this.size = 0;
      for (let bytes = await exchange.read(); bytes; bytes = await exchange.read()) {
        this.size += bytes.length;
        if (this.size > most) throw this.tooMuch(most);
      }
    } finally {
      exchange.close();
    }
    this.ranges = this.tacit = this.head.length === FIRST && this.size > FIRST;
  }

  private async readHead(exchange: Exchange): Promise<Uint8Array> {
    const most = this.ranges ? Math.min(FIRST, this.size) : this.size < 0 ? WHOLE : this.size;
    const parts: Uint8Array[] = [];
    let length = 0;
    for (let bytes = await exchange.read(); bytes; bytes = await exchange.read()) {
      parts.push(bytes);
      length += bytes.length;
      if (length <= most) continue;
      if (this.size < 0 && isOwn(this.start)) return new Uint8Array(0);
      throw this.tooMuch(most);
    }
    if (this.size >= 0 && length < most) throw new RetryableError(`its end after ${length} of ${most} bytes`);
    return concatenate(parts);
  }

  /** What an answer holds: it begins where it was asked to, and may end early. */
  private range({ headers }: Response, from: number): { last: number; size: number } {
    const range = headers.get("Content-Range");
    const [, first, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range ?? "")?.map(Number) ?? [];
    if (first === from && first <= last && last < size && size <= Number.MAX_SAFE_INTEGER) return { last, size };
    throw mismatch(
      "network",
      this.name,
      `bytes from ${from} on`,
      `Content-Range ${range ?? "hidden or absent"}`,
      "check the address, and that its server answers Range requests and exposes that header",
    );
  }

  private tooMuch(most: number): SiglipError {
    const found = "more from a server that knows no ranges or no lengths";
    return mismatch("network", this.name, `at most ${most} bytes`, found, "host it on one that does");
  }

  private tooLong(last: number): SiglipError {
    return mismatch("network", this.name, `bytes up to ${last}`, "more in one answer than it said", "check its server");
  }

  private changed(found: string): SiglipError {
    return mismatch(
      "network",
      this.name,
      `the file of ${this.size} bytes that was opened`,
      `${found} by now`,
      "load it again, since it changed on the server",
    );
  }
}

/** Whether a URL is of an application's own files rather than a server's. */
function isOwn({ protocol }: URL): boolean {
  return !/^https?:$/.test(protocol);
}
