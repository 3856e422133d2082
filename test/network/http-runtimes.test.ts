import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryFolder } from "../harness/cli.ts";
import { runtime } from "../harness/runtimes.ts";
import { digest, type FileServer, serveFiles } from "../harness/server.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = temporaryFolder();
const script = join(folder.path, "client.mjs");
const file = Uint8Array.from({ length: 600_000 }, (_, i) => Math.imul(i, 2654435761) >>> 24);
let front: FileServer;
let behind: FileServer;
beforeAll(async () => {
  await build({
    entryPoints: [join(here, "http-client.ts")],
    outfile: script,
    bundle: true,
    platform: "node",
    format: "esm",
  });
  front = await serveFiles();
  behind = await serveFiles({ file });
  const Location = `http://localhost:${behind.port}/file`;
  const headers = { Location, "X-Linked-ETag": '"abc"', "X-Repo-Commit": "0123".repeat(10) };
  front.files.set("file", { content: "Moved", status: 302, headers });
});
afterAll(async () => {
  await front?.[Symbol.asyncDispose]();
  await behind?.[Symbol.asyncDispose]();
  folder.remove();
});

for (const name of ["this Node", "Deno", "Bun"] as const) {
  it(`${name} keeps the token from a redirect's host, resumes, and notices a change`, async (context) => {
    const [binary, ...flags] = await runtime(name, context);
    const read = async () => {
      front.requests.length = behind.requests.length = 0;
      const { stdout } = await promisify(execFile)(binary, [...flags, script, `${front.url}file`]);
      expect(front.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer secret"]);
      expect(new Set(behind.requests.map(({ headers }) => headers.authorization))).toEqual(new Set([undefined]));
      return JSON.parse(stdout);
    };
    behind.misbehave("file", { cut: 100_000 }, 3);
    const wanted = { etag: "abc", commit: "0123".repeat(10), ranges: true, size: 600_000 };
    expect(await read()).toEqual({ ...wanted, failure: "", sha1: digest("sha1", file) });
    expect(behind.requests.length).toBe(4);
    behind.behave();
    behind.misbehave("file", { headers: { ETag: '"another"' } }, 1);
    expect((await read()).failure).toMatch(
      /^SiglipError: .* another version by now; load it again, since it changed on the server\.$/,
    );
  });
}
