import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pictureFetcher, type UrlOptions } from "../../src/serve/urls.ts";
import { type FileServer, serveFiles } from "../harness/server.ts";

const picture = readFileSync(new URL("../fixtures/images/small-97x61.png", import.meta.url));
let server: FileServer;
beforeAll(async () => {
  server = await serveFiles({ "a.png": picture });
  const moved = (path: string, Location: string) =>
    server.files.set(path, { content: "", status: 302, headers: { Location } });
  moved("near", "/a.png");
  moved("metadata", "http://169.254.169.254/latest/meta-data/");
  moved("inside", "http://inside.test/a.png");
  moved("mapped", "http://[::ffff:127.0.0.1]/a.png");
  moved("file", "file:///etc/passwd");
});
afterAll(() => server[Symbol.asyncDispose]());

const NAMES: Readonly<Record<string, readonly string[]>> = {
  "outside.test": ["127.0.0.1"],
  "inside.test": ["10.0.0.1"],
  "both.test": ["127.0.0.1", "10.0.0.1"],
};
/** This machine stands for the internet; names are looked up in the table, and noted. */
function fetcher(options: Partial<UrlOptions> = {}) {
  const asked: string[] = [];
  const { fetch } = pictureFetcher({
    ...{ limit: 10_000_000, time: 5000, permits: (address) => address === "127.0.0.1" },
    resolve: async (name) => {
      asked.push(name);
      return (NAMES[name] ?? []).map((address) => ({ address, family: 4 }));
    },
    ...options,
  });
  return { asked, fetch: (place: string) => fetch(new URL(place)) };
}
const FORBIDDEN = /wanted a server of the public internet, found another address; send the picture itself\.$/;

describe("a picture named by a URL", () => {
  it("comes from an address that was checked, for which its name is resolved once", async () => {
    const { asked, fetch } = fetcher();
    const { length } = server.requests;
    expect(Buffer.from(await fetch(`http://outside.test:${server.port}/near`)).equals(picture)).toBe(true);
    expect(asked).toEqual(["outside.test", "outside.test"]);
    const [, { path, headers }] = server.requests.slice(length);
    expect([path, headers.host]).toEqual(["a.png", `outside.test:${server.port}`]);
  });

  it("does not come from other addresses, by whatever name or redirect", async () => {
    const { fetch } = fetcher();
    const near = `http://outside.test:${server.port}`;
    const places = [
      ...["http://inside.test/", "http://both.test/", "http://10.0.0.1/", "http://[::1]/", "http://2130706434/"],
      ...["http://nowhere.test/", `${near}/metadata`, `${near}/inside`, `${near}/mapped`],
    ];
    for (const place of places) await expect(fetch(place), place).rejects.toThrow(FORBIDDEN);
    await expect(fetch(`${near}/file`)).rejects.toThrow(/by http or https/);
    await expect(fetch("ftp://outside.test/")).rejects.toThrow(/wanted an http or https URL, found ftp:/);
    await expect(fetch("http://user:pass@outside.test/")).rejects.toThrow(/wanted a URL without name and password/);
  });

  it("does not come from this machine, as things are", async () => {
    const { fetch } = pictureFetcher({ limit: 1000, time: 5000 });
    const { length } = server.requests;
    for (const host of ["127.0.0.1", "localhost", "127.1", "0x7f000001", "[::ffff:7f00:1]"]) {
      await expect(fetch(new URL(`http://${host}:${server.port}/a.png`))).rejects.toThrow(FORBIDDEN);
    }
    expect(server.requests.length).toBe(length);
  });

  it("has limits of bytes and time", async () => {
    const place = `http://outside.test:${server.port}/a.png`;
    await expect(fetcher({ limit: 100 }).fetch(place)).rejects.toThrow(/wanted at most 100 bytes, found more/);
    server.misbehave("a.png", { stall: 100 }, 1);
    await expect(fetcher({ time: 100 }).fetch(place)).rejects.toThrow(/wanted a picture within 0\.1 seconds/);
  });
});
