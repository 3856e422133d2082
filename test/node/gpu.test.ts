import { afterEach, describe, expect, it, vi } from "vitest";
import { nodePlatform } from "../../src/node/platform.ts";
import { open } from "../../src/tensor/webgpu/open.ts";

const withoutAdapters = { requestAdapter: async () => null } as unknown as GPU;

describe("webgpu, asked for by name where there is no adapter", () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    ["with no driver", withoutAdapters, {}, "install a graphics driver"],
    ["without npm's webgpu", undefined, {}, "install the npm package webgpu and a graphics driver"],
    ["in Bun, where npm's webgpu crashes", undefined, { Bun: {} }, "run this in Node or Deno"],
  ])("says what to do %s", async (_, gpu, globals, advice) => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
    const { withoutGpu, threads: threading } = nodePlatform;
    const options = { named: true, gpu: async () => gpu, withoutGpu, chosenForms: () => new Map(), threading };
    await expect(open(options)).rejects.toThrow(
      `backend: wanted a WebGPU adapter, found none; ${advice}, or load with backend "wasm".`,
    );
    expect(await open({ ...options, named: false })).toBeUndefined();
  });
});
