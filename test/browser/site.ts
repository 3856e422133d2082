import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A web server of this machine for the time of a test. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  /** The paths that were asked for, in order. */
  readonly requests: readonly string[];
}

type Answer = (request: IncomingMessage, response: ServerResponse, path: string) => void | Promise<void>;

/** Starts a server on a free port, where every request is `answer`'s; what it throws becomes status 404. */
export async function serve(answer: Answer): Promise<Site> {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://site").pathname);
    requests.push(path);
    try {
      await answer(request, response, path);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A site of an empty page, of scripts and of the folders' files under the folders' names. */
export function serveSite(
  scripts: ReadonlyMap<string, Uint8Array>,
  folders: Readonly<Record<string, URL>> = {},
): Promise<Site> {
  return serve(async (request, response, path) => {
    const [, name, ...rest] = path.split("/");
    const script = scripts.get(name);
    if (path === "/") response.setHeader("Content-Type", "text/html").end("<!doctype html><title>siglip</title>");
    else if (script) response.setHeader("Content-Type", "text/javascript").end(script);
    else answerRange(request, response, await readFile(new URL(rest.join("/"), folders[name])));
  });
}

/** Sends a file, or the one range of it that was asked for. */
export function answerRange(request: IncomingMessage, response: ServerResponse, file: Uint8Array): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  if (!range) {
    response.end(file);
    return;
  }
  const [first, last] = [Number(range[1]), Math.min(Number(range[2]), file.length - 1)];
  if (first >= file.length) {
    response.writeHead(416, { "Content-Range": `bytes */${file.length}` }).end();
    return;
  }
  response.writeHead(206, { "Content-Range": `bytes ${first}-${last}/${file.length}` });
  response.end(file.subarray(first, last + 1));
}
