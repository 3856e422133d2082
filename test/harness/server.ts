// A file server of this machine that can be told to misbehave, and a Hub made of two of them.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { bytesSource, type Source } from "../../src/checkpoint/source.ts";

/** What a file holds; a Source serves for files that would be too large to keep. */
export type Content = string | Uint8Array | Source;

/** What stands at a path. */
export interface Entry {
  readonly content: Content;
  readonly headers?: Readonly<Record<string, string>>;
  /** 200 by default, or 206 for a range. */
  readonly status?: number;
}

/** One request and what became of it. */
export interface Met {
  readonly method: string;
  /** As it came, without the first slash, with its query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  status: number;
  /** Bytes of body handed to the connection. */
  bytes: number;
}

/** What goes wrong. Without any of these an answer is as it should be. */
export interface Misbehaviour {
  /** Range is ignored. */
  readonly ranges?: false;
  /** The connection is destroyed after so many bytes of body. */
  readonly cut?: number;
  /** Nothing more comes after so many bytes of body, and the connection stays. */
  readonly stall?: number;
  /** Milliseconds before every 64 KiB of body. */
  readonly slow?: number;
  /** Added to the length that Content-Length (or, of a range, the total that Content-Range) states. */
  readonly length?: number;
  /** A range is answered with so many bytes at most, and says so. */
  readonly short?: number;
  /** No Content-Length is sent. */
  readonly chunked?: true;
  /** Another entry answers. */
  readonly entry?: Entry;
  /** Headers added, or put in place of those that would be right. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface FileServer extends AsyncDisposable {
  /** http://127.0.0.1:port/ */
  readonly url: string;
  readonly port: number;
  /** What is served by path, where no `find` was given. */
  readonly files: Map<string, Entry>;
  /** All requests so far. */
  readonly requests: Met[];
  /** From now on requests whose path contains `path` meet this, the next `times` of them; the last one told comes first. */
  misbehave(path: string, how: Misbehaviour, times?: number): void;
  /** No more misbehaviour. */
  behave(): void;
}

type Find = (path: string, request: IncomingMessage) => Entry | undefined;

/** Starts a server on a free port of 127.0.0.1, with CORS for everybody. */
export async function serveFiles(files: Readonly<Record<string, Content>> = {}, find?: Find): Promise<FileServer> {
  const map = new Map<string, Entry>(Object.entries(files).map(([path, content]) => [path, { content }]));
  const requests: Met[] = [];
  const faults: { path: string; how: Misbehaviour; times: number }[] = [];
  const server = createServer(async (request, response) => {
    const path = request.url!.slice(1);
    const met: Met = { method: request.method!, path, headers: request.headers, status: 0, bytes: 0 };
    requests.push(met);
    allowOrigins(response);
    if (request.method === "OPTIONS") {
      response.setHeader("Access-Control-Allow-Headers", "Authorization, Range").writeHead(204).end();
      return;
    }
    const fault = faults.find((one) => one.times > 0 && path.includes(one.path));
    if (fault) fault.times--;
    const how = fault?.how ?? {};
    const name = decodeURIComponent(path.replace(/\?.*$/, ""));
    const entry = how.entry ?? (find ? find(name, request) : map.get(name));
    try {
      await answer(request, response, entry ?? { content: "none", status: 404 }, how, met);
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    files: map,
    requests,
    misbehave(path, how, times = Number.POSITIVE_INFINITY) {
      faults.unshift({ path, how, times });
    },
    behave() {
      faults.length = 0;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The bytes of body that requests since `from` were answered with. */
export function bytesServed(server: FileServer, from = 0): number {
  return server.requests.slice(from).reduce((sum, { bytes }) => sum + bytes, 0);
}

const EXPOSED = "ETag, Content-Range, X-Repo-Commit, X-Linked-Size, X-Linked-ETag, X-Error-Code";

function allowOrigins(response: ServerResponse): void {
  response.setHeader("Access-Control-Allow-Origin", "*").setHeader("Access-Control-Expose-Headers", EXPOSED);
}

async function answer(
  { method, headers: asked }: IncomingMessage,
  response: ServerResponse,
  entry: Entry,
  how: Misbehaviour,
  met: Met,
): Promise<void> {
  const source = toSource(entry.content);
  const etag = entry.headers?.ETag ?? `"${tagOf(entry.content)}"`;
  for (const [name, value] of Object.entries({ ETag: etag, ...entry.headers })) {
    response.setHeader(name, value);
  }
  const extra = how.length ?? 0;
  const condition = asked["if-range"];
  const current = condition === undefined || condition === etag;
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec((current && asked.range) || "") ?? [];
  const wholly = from === undefined || how.ranges === false || entry.status !== undefined;
  const first = wholly ? 0 : Number(from);
  const most = wholly ? Infinity : first + (how.short ?? Infinity);
  const end = Math.min(wholly || to === "" ? source.size : Number(to) + 1, source.size, most);
  met.status = entry.status ?? (wholly ? 200 : first < source.size ? 206 : 416);
  if (met.status === 416) {
    response.writeHead(416, { "Content-Range": `bytes */${source.size}` }).end();
    return;
  }
  if (!wholly) response.setHeader("Content-Range", `bytes ${first}-${end - 1}/${source.size + extra}`);
  if (!how.chunked) response.setHeader("Content-Length", end - first + (wholly ? extra : 0));
  response.writeHead(met.status, how.headers);
  if (method === "HEAD") {
    response.end();
    return;
  }
  response.flushHeaders();
  const stop = first + Math.min(how.cut ?? Infinity, how.stall ?? Infinity, end - first);
  for (let at = first; at < stop && !response.destroyed; ) {
    if (how.slow) await new Promise((resolve) => setTimeout(resolve, how.slow));
    const bytes = await source.read(at, Math.min(2 ** 16, stop - at));
    at += bytes.length;
    met.bytes += bytes.length;
    if (!response.write(bytes)) await drained(response);
  }
  if (how.stall !== undefined) return;
  if (stop === end && !(wholly && extra > 0)) {
    response.end();
    return;
  }
  // What was written is still on its way when the connection is destroyed at once.
  await new Promise((resolve) => setTimeout(resolve, 20));
  response.destroy();
}

/** Resolves when there is room for more, and when nobody wants it any longer. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.on("drain", go).on("close", go);
  });
}

function toSource(content: Content): Source {
  if (typeof content === "string") return bytesSource(new TextEncoder().encode(content));
  return content instanceof Uint8Array ? bytesSource(content) : content;
}

const tags = new WeakMap<object, string>();

/** A strong validator: of the bytes where they are kept, of name and size of a Source. */
function tagOf(content: Content): string {
  if (typeof content === "string") return digest("sha1", content);
  let tag = tags.get(content);
  tag ??= digest("sha1", content instanceof Uint8Array ? content : `${content.name} ${content.size}`);
  tags.set(content, tag);
  return tag;
}

export function digest(algorithm: "sha1" | "sha256", ...parts: (string | Uint8Array)[]): string {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
