import { afterAll, beforeAll, describe, expect } from "vitest";
import { writeNpz } from "../harness/npz.ts";
import { serveFiles } from "../harness/server.ts";
import { asBigVision, syntheticTensors } from "../judge/layouts.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";
import { expectSame, narrow, odd, serve, spiece, visit, visitor, words } from "./visit.ts";

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts"], {});
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

describe("a big_vision file in a page", () => {
  inChromium("gives what Hugging Face's files give, and again from the cache without the network", "cpu", async () => {
    const open = await visitor(chromium);
    const page = await open();
    await using plain = await serve();
    const wanted = await visit(page, `${plain.url}m/`, { words, cache: false });
    const arrays = asBigVision(syntheticTensors(narrow.config), narrow.config, true);
    const server = await serveFiles({
      "v/spiece.model": spiece,
      "v/x.npz": writeNpz(arrays, { deflated: true }),
    });
    const url = `${server.url}v/x.npz`;
    const first = await visit(page, url, { words, complete: 1 });
    expect(odd(first)).toEqual([]);
    expectSame(first, wanted);
    await server[Symbol.asyncDispose]();
    expectSame(await visit(await open(), url, { words }), wanted);
  });
});
