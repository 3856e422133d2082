import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";

// What test files share for the length of a run: each is made in the runner's process when a file first asks for it, and undone
// at the end. Files run in processes of their own, so that they ask by HTTP (shared.ts).

interface Shared {
  /** What the files get. */
  readonly value: string;
  close?(): Promise<unknown>;
}

/** Only what is asked for is imported. */
const MAKERS: Readonly<Record<string, () => Promise<Shared>>> = {
  async chromium() {
    const server = await (await import("../browser/chromium.ts")).serveChromium();
    return { value: server.wsEndpoint(), close: () => server.close() };
  },
  async runtimes() {
    return { value: await (await import("../package/project.ts")).installRuntimes() };
  },
};

/** Vitest's global set-up: the server that makes what is asked for. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const made = new Map<string, Promise<Shared>>();
  const server = createServer(async (request, response) => {
    // A file that computes for seconds would find a kept connection closed meanwhile.
    response.setHeader("Connection", "close");
    const name = request.url!.slice(1);
    if (!made.has(name)) made.set(name, MAKERS[name]());
    try {
      const { value } = await made.get(name)!;
      response.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  provide("shared", `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return async () => {
    server.closeAllConnections();
    server.close();
    for (const one of made.values()) await (await one.catch(() => undefined))?.close?.();
  };
}
