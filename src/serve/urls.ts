import { lookup as resolveByDns } from "node:dns";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { Readable } from "node:stream";
import { fetchBytes } from "../network/request.ts";
import { mismatch, SiglipError, shorten } from "../support/error.ts";
import { isPublic } from "./addresses.ts";

/** How pictures are fetched from strangers' servers. */
export interface UrlOptions {
  /** Most bytes of a picture file. */
  readonly limit: number;
  /** Milliseconds for all of it, redirects included. */
  readonly time: number;
  /** Which addresses may be connected to; by default the public internet's. */
  readonly permits?: (address: string) => boolean;
  /** Turns names into addresses; by default as the system does. */
  readonly resolve?: (name: string) => Promise<readonly { address: string; family: number }[]>;
}

/** Fetches picture files. */
export interface PictureFetcher {
  /** Most bytes of one. */
  readonly limit: number;
  /** One, whole. Rejects with a SiglipError, or with the signal's reason. */
  fetch(url: URL, signal?: AbortSignal): Promise<Uint8Array>;
}

/**
 * A way to fetch pictures which reaches no address but permitted ones, whatever names and redirects say: a name is
 * resolved once, by our own lookup, and the connection goes to the addresses that were checked. The environment's proxies
 * are not used, for they would resolve names themselves.
 */
export function pictureFetcher(options: UrlOptions): PictureFetcher {
  const guarded = guardedFetch(options);
  const fetch: PictureFetcher["fetch"] = (url, signal) => {
    const late = AbortSignal.timeout(options.time);
    const signals = signal ? AbortSignal.any([signal, late]) : late;
    const fetched = fetchBytes(url, {
      wanted: "a picture",
      limit: options.limit,
      fetch: guarded,
      idle: 10_000,
      signal: signals,
    });
    return fetched.catch((error) => {
      // A refusal of ours comes as the cause of a connection that failed.
      if (error.cause instanceof SiglipError) throw error.cause;
      if (!late.aborted || signal?.aborted) throw error;
      const wanted = `a picture within ${options.time / 1000} seconds`;
      throw mismatch("network", shorten(url), wanted, "none by then", "send the picture itself");
    });
  };
  return { limit: options.limit, fetch };
}

/** `fetch` of one hop: what is asked for by GET, without following redirects. */
function guardedFetch({ permits = isPublic, resolve = systemLookup }: UrlOptions) {
  return (url: URL, init: RequestInit): Promise<Response> => {
    checkScheme(url);
    const host = url.hostname.replace(/^\[|\]$/g, "");
    // Nobody looks up what is an address already.
    if (isIP(host) && !permits(host)) throw forbidden(url);
    let checked = isIP(host) !== 0;
    const lookup: LookupFunction = (name, { all }, done) => {
      const tell = (addresses: readonly { address: string; family: number }[]) => {
        if (addresses.length === 0 || !addresses.every(({ address }) => permits(address))) throw forbidden(url);
        checked = true;
        if (all) done(null, [...addresses]);
        else done(null, addresses[0].address, addresses[0].family);
      };
      resolve(name)
        .then(tell)
        .catch((error) => done(error, [], 0));
    };
    return new Promise((fulfil, reject) => {
      const ask = url.protocol === "https:" ? requestHttps : requestHttp;
      const headers = { ...(init.headers as Record<string, string>), Accept: "image/*", "User-Agent": "siglip" };
      const signal = init.signal ?? undefined;
      const request = ask(url, { agent: false, headers, signal, lookup }, (message) => {
        if (checked) return fulfil(toResponse(message));
        message.destroy();
        reject(forbidden(url));
      });
      request.on("error", reject).end();
    });
  };
}

/** A refusal that says nothing of what stands where, lest it tell of a network from within. */
function forbidden(url: URL): SiglipError {
  const advice = "send the picture itself";
  return mismatch("bad-input", shorten(url), "a server of the public internet", "another address", advice);
}

/** Throws a SiglipError for what is no http or https URL. */
export function checkScheme(url: URL): void {
  if (/^https?:$/.test(url.protocol)) return;
  throw mismatch("bad-input", shorten(url), "an http or https URL", url.protocol, "send the picture itself");
}

function toResponse(message: IncomingMessage): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) {
    for (const one of [value ?? []].flat()) headers.append(name, one);
  }
  const status = message.statusCode ?? 0;
  const empty = [101, 204, 205, 304].includes(status);
  if (empty) message.resume();
  const body = empty ? null : (Readable.toWeb(message) as ReadableStream<Uint8Array>);
  return new Response(body, { status, headers });
}

function systemLookup(name: string): Promise<{ address: string; family: number }[]> {
  return new Promise((resolve, reject) => {
    resolveByDns(name, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });
}
