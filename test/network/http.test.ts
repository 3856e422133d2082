import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { retryAfter } from "../../src/network/exchange.ts";
import { openRemote, type RemoteFile, type RemoteOptions } from "../../src/network/http.ts";
import { parseEndpoint } from "../../src/network/hub.ts";
import { fetchBytes } from "../../src/network/request.ts";
import { findFiles } from "../../src/node/find.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { SiglipError, shorten } from "../../src/support/error.ts";
import { bytesServed, type FileServer, type Misbehaviour, serveFiles } from "../harness/server.ts";

/** Longer than what comes with the first request, so that later ones are seen. */
const file = Uint8Array.from({ length: 600_000 }, (_, i) => Math.imul(i, 2654435761) >>> 24);
const oneSentence = /^[^;\n]*wanted [^;\n]*, found [^;\n]*; [^;\n]*\.$/;

let server: FileServer;
beforeAll(async () => {
  server = await serveFiles();
});
afterAll(async () => server?.[Symbol.asyncDispose]());
beforeEach(() => {
  server.behave();
  server.files.clear();
  server.files.set("file", { content: file });
  server.requests.length = 0;
});

/** Retries without their pauses. */
const options: RemoteOptions = { pause: 1, idle: 500 };

async function open(more: RemoteOptions = {}): Promise<RemoteFile> {
  const found = await openRemote(new URL(`${server.url}file`), { ...options, ...more });
  if (!found) throw new Error("Wanted a file on the server, found none.");
  return found;
}

async function read(remote: RemoteFile, offset = 0, length = remote.size, signal?: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of remote.stream(offset, length, signal)) parts.push(part);
  return Buffer.concat(parts);
}

const expectFile = (bytes: Uint8Array, offset = 0) =>
  expect(Buffer.compare(bytes, file.subarray(offset, offset + bytes.length))).toBe(0);

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error("nothing was refused"),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(oneSentence);
  return error.message;
}

describe("a file on a server", () => {
  it("is known by its first answer, and read by one request for each range", async () => {
    const remote = await open();
    expect(remote).toMatchObject({ size: 600_000, ranges: true, url: `${server.url}file` });
    expect(remote.etag).toMatch(/^[0-9a-f]{40}$/);
    expectFile(await read(remote, 10, 90), 10);
    expect(server.requests.length).toBe(1);
    expectFile(await read(remote));
    expectFile(await read(remote, 599_999, 1), 599_999);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([
      "bytes=0-65535",
      "bytes=65536-599999",
      "bytes=599999-599999",
    ]);
    expect((await read(remote, 600_000, 0)).length).toBe(0);
    await expect(read(remote, 599_999, 2)).rejects.toThrow("wanted bytes 599999 to 600001, found a file of 600000");
  });

  it("is one request where it is small, none where it is empty, and absent where the server has none", async () => {
    server.files.set("small", { content: "hello" });
    server.files.set("empty", { content: "" });
    server.files.set("page", { content: "<!doctype html>", headers: { "Content-Type": "text/html; charset=utf-8" } });
    server.files.set("gone", { content: "", status: 410 });
    const at = (name: string) => openRemote(new URL(server.url + name), options);
    const small = await at("small");
    expect(new TextDecoder().decode(await read(small!))).toBe("hello");
    expect(await at("empty")).toMatchObject({ size: 0 });
    for (const name of ["page", "gone", "nothing"]) expect(await at(name)).toBeUndefined();
    expect(server.requests.length).toBe(5);
  });

  it("is refused where a URL or a token would be sent wrongly, and neither is repeated", async () => {
    expect(shorten("ftp://me:secret@host/a?b=//c@d")).toBe("ftp://…@host/a?b=//c@d");
    for (const odd of ["https://me:sec ret@host:99999/a", "me:sec ret@host/a"]) {
      expect(shorten(odd)).toMatch(/^(https:)?\/\/…@host(:99999)?\/a$/);
      expect(await refusal(Promise.resolve().then(() => void parseEndpoint(odd)))).not.toContain("sec");
    }
    const unreadable = "https://me:secret@host:99999/a";
    for (const use of [findFiles(unreadable), nodePlatform.decode(unreadable)]) {
      expect(await refusal(use)).toBe(
        '"https://…@host:99999/a": wanted a URL, found one that cannot be read; correct it.',
      );
    }
    const [withPassword, token] = ["http://me:secret@127.0.0.1/x", "secret\nX-Other: header"];
    expect(await refusal(openRemote(new URL(withPassword)))).not.toContain("secret");
    const picture = fetchBytes(new URL(withPassword), { wanted: "a picture", limit: 1 });
    expect(await refusal(picture)).not.toContain("secret");
    expect(await refusal(open({ token }))).not.toContain("secret");
    const closed = await serveFiles();
    await closed[Symbol.asyncDispose]();
    expect(await refusal(openRemote(new URL(closed.url), options))).toMatch(
      /found no answer \(.*ECONNREFUSED.*\); check/,
    );
  });

  it("ends with the signal's reason, before, between and while it waits", async () => {
    const reason = new Error("enough");
    const remote = await open();
    await expect(open({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(read(remote, 0, 600_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const between = new AbortController();
    server.misbehave("file", { slow: 1 });
    const taken = async () => {
      for await (const _ of remote.stream(70_000, 500_000, between.signal)) between.abort(reason);
    };
    await expect(taken()).rejects.toBe(reason);
    // Without the server's wish all tries would be over within milliseconds.
    server.misbehave("file", { entry: { content: "", status: 503, headers: { "Retry-After": "50" } } });
    for (const during of [
      (signal: AbortSignal) => open({ signal }),
      (signal: AbortSignal) => read(remote, 70_000, 10, signal),
    ]) {
      const waiting = new AbortController();
      const result = during(waiting.signal);
      setTimeout(() => waiting.abort(reason), 50);
      await expect(result).rejects.toBe(reason);
    }
    server.misbehave("file", { stall: 0 });
    const silent = new AbortController();
    const result = open({ signal: silent.signal, idle: 60_000 });
    setTimeout(() => silent.abort(reason), 50);
    await expect(result).rejects.toBe(reason);
  });
});

describe("a file of an extension's own", () => {
  /** As Chromium answers: a range with status 200 and no word of it, no length, and no answer for what is not there. */
  function extension(files: Readonly<Record<string, Uint8Array>>): typeof fetch {
    return async (url, { headers }: RequestInit = {}) => {
      const content = files[new URL(String(url)).pathname.slice(1)];
      const range = /^bytes=(\d+)-(\d+)$/.exec((headers as Record<string, string>).Range ?? "");
      const [first, last] = range ? [Number(range[1]), Number(range[2])] : [0, Infinity];
      if (!content || first >= content.length) throw new TypeError("Failed to fetch");
      return new Response(content.slice(first, last + 1), { headers: { ETag: '"installed"' } });
    };
  }
  const at = (name: string, fetch: typeof globalThis.fetch) =>
    openRemote(new URL(`chrome-extension://name/${name}`), { ...options, fetch });

  it("is read by ranges, whatever its length, and absent where fetch fails", async () => {
    const lengths = [1, 65_535, 65_536, 65_537, 600_000];
    const fetch = extension(Object.fromEntries(lengths.map((length) => [length, file.slice(0, length)])));
    for (const length of lengths) {
      const remote = await at(String(length), fetch);
      expect(remote).toMatchObject({ size: length, etag: "installed", ranges: length > 65_536 });
      expectFile(await read(remote!));
      if (length > 70_000) expectFile(await read(remote!, 70_000, 100), 70_000);
    }
    expect(await at("nothing", fetch)).toBeUndefined();
  });

  it("is read whole where ranges are ignored, and as often as it has to be where it is too large to keep", async () => {
    const honest = extension({ file, large: new Uint8Array(2 ** 24 + 1).fill(7) });
    const firefox: typeof fetch = (url, init) => honest(url, { ...init, headers: {} });
    const remote = await at("file", firefox);
    expect(remote).toMatchObject({ size: 600_000, ranges: false });
    expectFile(await read(remote!, 70_000, 100), 70_000);
    const large = await at("large", firefox);
    expect(large).toMatchObject({ size: 2 ** 24 + 1, ranges: false });
    expect([...(await read(large!, 2 ** 24, 1))]).toEqual([7]);
  });

  it("is asked for again from where an answer ends too early, and refused where one does not end", async () => {
    const honest = extension({ file });
    const sending = (length: number): typeof fetch => {
      return async (url, init) => {
        const response = await honest(url, init);
        if ((init?.headers as Record<string, string> | undefined)?.Range !== "bytes=70000-70099") return response;
        return new Response(file.slice(70_000, 70_000 + length), response);
      };
    };
    expectFile(await read((await at("file", sending(99)))!, 70_000, 100), 70_000);
    const remote = await at("file", sending(101));
    expect(await refusal(read(remote!, 70_000, 100))).toContain("more in one answer than it said");
  });

  it("is counted on a web server, too, which may not go on for ever", async () => {
    const server = extension({ file });
    expect(await openRemote(new URL("http://proxy/file"), { ...options, fetch: server })).toMatchObject({
      size: 600_000,
      ranges: true,
    });
    const endless: typeof fetch = async (url, init) => {
      if ((init?.headers as Record<string, string> | undefined)?.Range) return server(url, init);
      return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(2 ** 20)) }));
    };
    expect(await refusal(openRemote(new URL("http://proxy/file"), { ...options, fetch: endless }))).toMatch(
      /wanted at most 16777216 bytes, found more/,
    );
  });
});

describe("a file that changes on the server", () => {
  const other = file.map((byte) => byte ^ 1);
  const changes: Record<string, [() => void, () => void]> = {
    "another content of the same length": [() => {}, () => server.files.set("file", { content: other })],
    "another length": [() => {}, () => server.files.set("file", { content: file.subarray(1) })],
    "no file any more": [() => {}, () => server.files.delete("file")],
    "another content with a weak validator": [
      () => server.files.set("file", { content: file, headers: { ETag: 'W/"1"' } }),
      () => server.files.set("file", { content: other, headers: { ETag: 'W/"2"' } }),
    ],
    "no ranges any more": [() => {}, () => server.misbehave("file", { ranges: false })],
    "another total": [() => {}, () => server.misbehave("file", { length: 10 })],
  };
  for (const [name, [prepare, change]] of Object.entries(changes)) {
    it(`is refused between two ranges: ${name}`, async () => {
      prepare();
      const remote = await open();
      change();
      expect(await refusal(read(remote, 100_000, 1000))).toContain("load it again");
    });

    it(`is refused when a cut connection is resumed: ${name}`, async () => {
      prepare();
      const remote = await open();
      server.misbehave("file", { cut: 100_000 }, 1);
      let at = 0;
      const taken = async () => {
        for await (const bytes of remote.stream(0, remote.size)) {
          expectFile(bytes, at);
          at += bytes.length;
          if (at > 2 ** 16) change();
        }
      };
      expect(await refusal(taken())).toContain("load it again");
      expect(at).toBe(2 ** 16 + 100_000);
    });
  }
});

describe("a server that misbehaves", () => {
  const survived: Record<string, [Misbehaviour, number]> = {
    "cuts the connection": [{ cut: 100_000 }, 5],
    "falls silent": [{ stall: 100_000 }, 1],
    "sends less than was asked for": [{ short: 150_000 }, 5],
    "says no length": [{ ranges: false, chunked: true }, 1],
    "is slow": [{ slow: 60 }, 100],
    "is busy": [{ entry: { content: "busy", status: 503 } }, 4],
    "wants to be asked later": [{ entry: { content: "later", status: 429, headers: { "Retry-After": "0" } } }, 4],
    "ignores ranges": [{ ranges: false }, 100],
    "ignores ranges and cuts the connection": [{ ranges: false, cut: 500_000 }, 3],
  };
  for (const [name, [how, times]] of Object.entries(survived)) {
    it(`does no harm where it ${name}`, async () => {
      server.misbehave("file", how, times);
      const remote = await open();
      expectFile(await read(remote));
      expectFile(await read(remote, 300_000, 1000), 300_000);
      expect(bytesServed(server)).toBeGreaterThan(0);
    });
  }

  it("is left where it sends less than a kilobyte a second, however it spreads them", async () => {
    const drip = createServer((_, response) => {
      response.writeHead(200, { "Content-Length": 1000 });
      const timer = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => drip.listen(0, "127.0.0.1", resolve));
    const at = new URL(`http://127.0.0.1:${(drip.address() as AddressInfo).port}/`);
    try {
      expect(await refusal(fetchBytes(at, { wanted: "a picture", limit: 2 ** 20, idle: 100 }))).toMatch(
        /wanted all of the answer, found its end after \d bytes \(\d bytes within 0\.1 seconds\); try again\.$/,
      );
      expect(await refusal(openRemote(at, { pause: 1, idle: 100 }))).toMatch(/(\d+ bytes|no byte) within 0\.1 seconds/);
    } finally {
      drip.closeAllConnections();
      await new Promise((resolve) => drip.close(resolve));
    }
  });

  /** How a file is refused: at once, or where the first answer was right. */
  const refused: Record<string, Misbehaviour> = {
    "cuts every connection at once": { cut: 0 },
    "sends nothing": { stall: 0 },
    "keeps failing": { entry: { content: "no", status: 500 } },
    "wants to be asked in an hour": { entry: { content: "no", status: 429, headers: { "Retry-After": "3600" } } },
    "wants a token": { entry: { content: "no", status: 401 } },
    "wants its licence to be accepted": { entry: { content: "no", status: 403 } },
    "has no idea": { entry: { content: "no", status: 418 } },
    "sends other bytes than were asked for": { headers: { "Content-Range": "bytes 1-4/600000" } },
    "says nothing of the bytes it sends": { headers: { "Content-Range": "" } },
    "hides the size": { headers: { "Content-Range": "bytes 0-65535/*" } },
    "sends more than it says": { headers: { "Content-Range": "bytes 65536-65540/600000" } },
    "states a wrong length": { ranges: false, length: 100 },
    "redirects in a circle": { entry: { content: "", status: 302, headers: { Location: "/file" } } },
    "redirects to a file of its own": {
      entry: { content: "", status: 302, headers: { Location: "file:///etc/passwd" } },
    },
  };
  for (const [name, how] of Object.entries(refused)) {
    it(`is told of where it ${name}, at the first request and later`, async () => {
      const remote = await open({ idle: 50 });
      server.misbehave("file", how);
      await refusal(open({ idle: 50 }));
      await refusal(read(remote));
    });
  }
});

describe("Retry-After", () => {
  const date = "Tue, 24 Nov 2026 06:00:00 GMT";
  it("is a number of seconds or a date by the server's clock", () => {
    expect(retryAfter(new Headers({ "Retry-After": "120" }))).toBe(120_000);
    expect(retryAfter(new Headers({ "Retry-After": "Tue, 24 Nov 2026 06:00:07 GMT", Date: date }))).toBe(7000);
    expect(retryAfter(new Headers({ "Retry-After": date, Date: "Tue, 24 Nov 2026 06:00:07 GMT" }))).toBe(0);
    for (const value of ["soon", "-1", "1.5"])
      expect(retryAfter(new Headers({ "Retry-After": value }))).toBeUndefined();
    expect(retryAfter(new Headers())).toBeUndefined();
  });
});

describe("a redirect", () => {
  let other: FileServer;
  beforeAll(async () => {
    other = await serveFiles();
  });
  afterAll(async () => other?.[Symbol.asyncDispose]());
  const tokens = ({ requests }: FileServer) => requests.map(({ headers }) => headers.authorization);

  it("is followed without the token, and remembered until it does not hold any more", async () => {
    for (const host of ["127.0.0.1", "localhost"]) {
      server.requests.length = other.requests.length = 0;
      other.behave();
      other.files.set("signed", { content: file });
      const to = (query: string) => ({ Location: `http://${host}:${other.port}/signed?${query}` });
      const linked = { "X-Linked-ETag": '"abc"', "X-Repo-Commit": "0123".repeat(10) };
      server.files.set("file", { content: "Moved", status: 302, headers: { ...to("1"), ...linked } });
      const remote = await open({ token: "secret" });
      expect(remote).toMatchObject({
        etag: "abc",
        commit: "0123".repeat(10),
        size: 600_000,
        name: `${server.url}file`,
      });
      expectFile(await read(remote));
      expect(tokens(server)).toEqual(["Bearer secret"]);
      other.misbehave("?1", { entry: { content: "expired", status: 403 } });
      server.files.set("file", { content: "Moved", status: 307, headers: { ...to("2"), ...linked } });
      expectFile(await read(remote, 500_000, 100), 500_000);
      expect(tokens(server)).toEqual(["Bearer secret", "Bearer secret"]);
      expect(other.requests.map(({ path }) => path)).toEqual(["signed?1", "signed?1", "signed?1", "signed?2"]);
      expect(new Set(tokens(other))).toEqual(new Set([undefined]));
      other.misbehave("?2", { entry: { content: "expired", status: 403 } });
      server.files.set("file", { content: "Moved", status: 302, headers: { ...to("3"), "X-Linked-ETag": '"abd"' } });
      expect(await refusal(read(remote, 500_000, 100))).toContain("another version");
    }
  });

  it("never leads from https to http, nor to a URL with a password, which is not told", async () => {
    const { fetch } = globalThis;
    // This machine's server, as if it spoke https.
    const secure = async (url: string | URL | Request, init?: RequestInit) =>
      fetch(String(url).replace("https://secure/", server.url), init);
    other.files.set("plain", { content: file });
    const to = (place: string) => ({ content: "", status: 302, headers: { Location: place } });
    server.files.set("file", to(`${other.url}plain`));
    const at = new URL("https://secure/file");
    other.requests.length = 0;
    expect(await refusal(openRemote(at, { ...options, fetch: secure }))).toContain("never from https to http");
    const picture = { wanted: "a picture", limit: 2 ** 20, fetch: secure };
    expect(await refusal(fetchBytes(at, picture))).toContain("never from https to http");
    expect(other.requests).toEqual([]);
    expect((await fetchBytes(new URL(`${server.url}file`), { ...picture, fetch })).length).toBe(file.length);
    server.files.set("file", to(`http://me:secret@127.0.0.1:${other.port}/plain`));
    expect(await refusal(open())).not.toContain("secret");
  });

  it("within the origin keeps the token, and one that returns to it has it again", async () => {
    server.files.set("elsewhere", { content: file });
    const location = (to: string) => ({ content: "", status: 302, headers: { Location: to } });
    server.files.set("file", location("/elsewhere"));
    expectFile(await read(await open({ token: "secret" })));
    server.files.set("file", location(`${other.url}back`));
    other.files.set("back", location(`${server.url}elsewhere`));
    other.requests.length = 0;
    expectFile(await read(await open({ token: "secret" })));
    expect(tokens(server)).toEqual(Array(server.requests.length).fill("Bearer secret"));
    expect(tokens(other)).toEqual([undefined]);
  });
});
