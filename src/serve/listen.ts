import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mismatch, type SiglipError } from "../support/error.ts";

/** Where a server listens, and how long it keeps connections. */
export interface ListenOptions {
  /** 0 for a free one. */
  readonly port: number;
  /** A name or an address of this machine. */
  readonly host: string;
  /** Milliseconds that a connection without a request is kept. */
  readonly keepAlive: number;
  /** Milliseconds for a request to come. */
  readonly bodyTime: number;
}

/** A server that listens. */
export interface Listening {
  /** Such as http://127.0.0.1:8000. */
  readonly url: string;
  /** Takes no more connections and ends those that are there. */
  close(): Promise<void>;
}

type Fetch = (request: Request) => Response | Promise<Response>;

/** What is used of Bun's own server. */
interface Foreign {
  readonly Bun?: {
    serve(options: { port: number; hostname: string; idleTimeout: number; maxRequestBodySize: number; fetch: Fetch }): {
      readonly port: number;
      stop(now: boolean): Promise<void>;
    };
  };
}

/**
 * Serves by Bun's own server there, and by `node:http` in Node and Deno: Deno's own tells of a client that has gone only
 * once it is answered, if the body had more than a few hundred bytes. Rejects with a SiglipError where the port is taken.
 */
export async function listen(fetch: Fetch, options: ListenOptions): Promise<Listening> {
  const { port, host, keepAlive } = options;
  const { Bun } = globalThis as Foreign;
  const at = (port: number) => `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  try {
    if (Bun) {
      // In seconds, at most 255; bodies have limits of ours.
      const idleTimeout = Math.min(255, Math.ceil(Math.max(keepAlive, options.bodyTime) / 1000));
      const server = Bun.serve({ port, hostname: host, idleTimeout, maxRequestBodySize: 2 ** 40, fetch });
      return { url: at(server.port), close: () => server.stop(true) };
    }
    const server = await listenByNode(fetch, options);
    return { url: at((server.address() as AddressInfo).port), close: () => closeByNode(server) };
  } catch (error) {
    throw notFree(error, host, port);
  }
}

async function listenByNode(fetch: Fetch, { port, host, keepAlive, bodyTime }: ListenOptions): Promise<Server> {
  const { createAdaptorServer } = await import("@hono/node-server");
  const server = createAdaptorServer({
    fetch,
    serverOptions: { keepAliveTimeout: keepAlive, headersTimeout: 30_000, requestTimeout: bodyTime + 30_000 },
  }) as Server;
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
  return server;
}

async function closeByNode(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  // What was answered last may still be on its way.
  const timer = setTimeout(() => server.closeAllConnections(), 2000);
  await closed;
  clearTimeout(timer);
}

function notFree(cause: unknown, host: string, port: number): SiglipError {
  const { message } = cause as Error;
  const option = /ADDRNOTAVAIL|ENOTFOUND/.test(message) ? "--host" : "--port";
  return mismatch("storage", `${host}:${port}`, "an address to listen at", message, `choose another ${option}`, cause);
}
