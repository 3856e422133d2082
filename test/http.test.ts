import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openRemote, type RemoteFile, type RemoteOptions } from "../src/checkpoint/http.ts";
import { SiglipError } from "../src/error.ts";
import { bytesServed, type FileServer, type Misbehaviour, serveFiles } from "./server.ts";

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
    await expect(read(remote, 599_999, 2)).rejects.toThrow("wanted bytes 599999 to 600001 but the file has 600000");
  });
});

describe("a server that misbehaves", () => {
  const survived: Record<string, [Misbehaviour, number]> = {
    "cuts the connection": [{ cut: 100_000 }, 5],
    "falls silent": [{ stall: 100_000 }, 1],
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

  /** How a file is refused: at once, or where the first answer was right. */
  const refused: Record<string, Misbehaviour> = {
    "cuts every connection at once": { cut: 0 },
    "sends nothing": { stall: 0 },
    "keeps failing": { entry: { content: "no", status: 500 } },
    "wants to be asked in an hour": { entry: { content: "no", status: 429, headers: { "Retry-After": "3600" } } },
    "wants a token": { entry: { content: "no", status: 401 } },
    "wants its licence to be accepted": { entry: { content: "no", status: 403 } },
    "has no idea": { entry: { content: "no", status: 418 } },
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
