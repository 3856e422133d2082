// `siglip serve` as a process, in every runtime.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, type TestContext, vi } from "vitest";
import { temporaryFolder } from "../harness/cli.ts";
import { RUNTIMES, type RuntimeName, runtime } from "../harness/runtimes.ts";
import { type FileServer, serveFiles } from "../harness/server.ts";
import { embed, headers, KEY, metric, type Running, startService } from "./process.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const picture = readFileSync(new URL("../fixtures/images/small-97x61.png", import.meta.url));
const folder = temporaryFolder();
const client = join(folder.path, "client.mjs");
let files: FileServer;
beforeAll(async () => {
  const entryPoints = [join(root, "test/serve/url-client.ts")];
  await build({ entryPoints, outfile: client, bundle: true, platform: "node", format: "esm" });
  files = await serveFiles({ "a.png": picture });
  const moved = (Location: string) => ({ content: "", status: 302, headers: { Location } });
  files.files.set("inside", moved("http://inside.test/a.png"));
  files.files.set("metadata", moved("http://169.254.169.254/latest/meta-data/"));
});
afterAll(async () => {
  await files?.[Symbol.asyncDispose]();
  folder.remove();
});

const dataUrl = `data:image/png;base64,${picture.toString("base64")}`;
const SOON = { timeout: 10_000, interval: 5 };

/** Starts the service in a runtime, for one test. */
async function start(name: RuntimeName, context: TestContext, args: readonly string[] = []): Promise<Running> {
  const [binary, ...flags] = await runtime(name, context);
  const command = [binary, ...flags, ...(name === "this Node" ? ["--import", "tsx"] : [])];
  const running = await startService(command, args);
  onTestFinished(() => void running.child.kill("SIGKILL"));
  return running;
}

describe.each(RUNTIMES)("%s", (name) => {
  it("serves texts and pictures, refuses strangers and private places, and forgets who goes away", async (context) => {
    const { url, output } = await start(name, context, ["--allow-urls", "--max-body", "8MiB"]);
    const answer = await embed(url, ["a text", dataUrl]);
    const { data } = (await answer.json()) as { data: { embedding: number[] }[] };
    for (const { embedding } of data) expect(Math.hypot(...embedding)).toBeCloseTo(1, 4);
    const bare = await fetch(`${url}/v1/embeddings`, { method: "POST", body: "{}" });
    expect([data.length, bare.status]).toEqual([2, 401]);
    const inside = await embed(url, { image_url: `${files.url}a.png` });
    expect([inside.status, await inside.text()]).toEqual([400, expect.stringContaining("of the public internet")]);
    // Longer than is allowed, its length known or not.
    const long = JSON.stringify({ input: "x".repeat(2 ** 23) });
    for (const body of [long, new Blob([long]).stream()]) {
      const init = { method: "POST", headers, body, duplex: "half" } as RequestInit;
      const status = await fetch(`${url}/v1/embeddings`, init).then((answer) => answer.status);
      expect(status).toBe(413);
    }

    expect(output()).not.toContain(KEY);
    const body = JSON.stringify({ input: Array(1000).fill("a") });
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    const head = Object.entries({ Host: "x", ...headers, "Content-Length": body.length }).map((one) => one.join(": "));
    socket.write(`${["POST /v1/embeddings HTTP/1.1", ...head].join("\r\n")}\r\n\r\n${body}`);
    await vi.waitFor(async () => expect(await metric(url, 'siglip_queue{kind="text"}')).toBeGreaterThan(0), SOON);
    socket.destroy();
    await vi.waitFor(async () => expect(await metric(url, "siglip_cancelled_total")).toBe(1), SOON);
    expect(await metric(url, 'siglip_queue{kind="text"}')).toBe(0);
  });

  it("answers what it has begun when it is told to stop", async (context) => {
    // Slow, so that there is a time to look at what waits.
    const { url, child, ended } = await start(name, context, ["--backend", "cpu"]);
    const begun = embed(url, Array(60).fill(dataUrl));
    await vi.waitFor(async () => expect(await metric(url, 'siglip_queue{kind="image"}')).toBeGreaterThan(0), SOON);
    child.kill("SIGTERM");
    await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(503), SOON);
    expect((await embed(url, "late")).status).toBe(503);
    const { data } = (await (await begun).json()) as { data: unknown[] };
    expect([data.length, await ended]).toEqual([60, 0]);
  });

  it("connects to no other address than the one that it has checked", async (context) => {
    const [binary, ...flags] = await runtime(name, context);
    const { stdout } = await promisify(execFile)(binary, [...flags, client, `${files.port}`]);
    const refused = expect.stringMatching(/wanted a server of the public internet, found another address/);
    expect(JSON.parse(stdout)).toEqual([picture.length, refused, refused, refused, refused]);
  });
});
