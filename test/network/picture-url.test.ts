import { readFileSync } from "node:fs";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { nodePlatform } from "../../src/node/platform.ts";
import { SiglipError } from "../../src/support/error.ts";
import { serveFiles } from "../harness/server.ts";

const picture = readFileSync(new URL("../fixtures/images/small-97x61.png", import.meta.url));

describe("a picture on a server", () => {
  it("is read, or told why not in a sentence", async () => {
    const server = await serveFiles({ "a.png": picture });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const decode = (signal?: AbortSignal) => nodePlatform.decode(`${server.url}a.png`, { signal });
    expect(await decode()).toMatchObject({ width: 97, height: 61 });
    server.misbehave("", { cut: 5000 });
    const cut = await decode().catch((error) => error);
    expect(cut).toBeInstanceOf(SiglipError);
    expect(cut.message).toMatch(
      /^http\S+: wanted all of the answer, found its end after \d+ bytes \(.*\); try again\.$/,
    );
    server.misbehave("", { stall: 5000 });
    await expect(decode(AbortSignal.timeout(200))).rejects.toMatchObject({ name: "TimeoutError" });
    server.misbehave("", { entry: { content: "", status: 500 } });
    await expect(decode()).rejects.toThrow(/^http\S+: wanted a picture, found HTTP status 500; check the address\.$/);
  });

  it("is one of many that listen to a signal, which Node does not take for a leak", async () => {
    const server = await serveFiles({ "a.png": picture });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const warned = vi.fn();
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    const { signal } = new AbortController();
    const half = [0.5, 0.5, 0.5] as const;
    const processing = { size: [28, 28], resample: "bicubic", rescale: 1 / 255, mean: half, std: half } as const;
    const recipe = { processing, patch: 14, stride: 592 };
    const many = Array.from({ length: 16 }, () => nodePlatform.prepare!(`${server.url}a.png`, recipe, { signal }));
    expect(await Promise.all(many)).toHaveLength(16);
    await new Promise((resolve) => setTimeout(resolve));
    expect(warned).not.toHaveBeenCalled();
  });
});
