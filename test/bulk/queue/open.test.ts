import { createServer, type Server } from "node:net";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/bulk/queue/open.ts";

async function serving(onConnection: (socket: import("node:net").Socket) => void): Promise<[Server, string]> {
  const server = createServer(onConnection);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return [server, `127.0.0.1:${(server.address() as { port: number }).port}`];
}

describe("a queue's server", () => {
  it("is not waited for if it takes connections and says nothing", async () => {
    const [server, host] = await serving(() => {});
    await expect(connect(`redis://me:secret@${host}`, 200)).rejects.toThrow(
      `redis://${host}: wanted a Redis that answers, found no answer; `,
    );
    server.close();
  });

  it("is a Redis by its URL", async () => {
    await expect(connect("http://me:secret@host")).rejects.toThrow(/^--queue: wanted redis:.*, found http:; /);
    await expect(connect("host:secret")).rejects.toThrow(/^--queue: wanted redis:/);
  });
});
