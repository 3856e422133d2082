import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pageServer } from "../../src/web/node/serve.ts";

const server = pageServer(new Map([["index.html", Buffer.from("<p>page</p>")]]));
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => new Promise((resolve) => server.close(resolve)));

/** The answer to a request line as it is, which `fetch` would tidy. */
function ask(target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => {
      answer += data;
    });
    socket.on("error", reject).on("close", () => resolve(answer));
    socket.end(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  });
}

describe("the page's server", () => {
  it("answers what is no path with 400, and goes on", async () => {
    for (const target of ["//", "//x:y", "/\\", "/\\x", "http://["])
      expect(await ask(target), target).toMatch(/^HTTP\/1\.1 400 /);
    expect(await ask("/")).toMatch(/^HTTP\/1\.1 200 .*<p>page<\/p>$/s);
  });

  it("lets nobody guess types or frame the page", async () => {
    for (const target of ["/", "/none"]) {
      expect(await ask(target)).toMatch(/^X-Content-Type-Options: nosniff\r$/m);
      expect(await ask(target)).toMatch(/^Content-Security-Policy: frame-ancestors 'none'\r$/m);
    }
  });
});
