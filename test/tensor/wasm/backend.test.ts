import { describe, expect, it, vi } from "vitest";
import { probe } from "../../../kernels/wasm/index.ts";
import { nodeThreads } from "../../../src/node/threads.ts";
import { SiglipError } from "../../../src/support/error.ts";
import { Recorder } from "../../../src/tensor/program.ts";
import type { WasmBackend } from "../../../src/tensor/wasm/backend.ts";
import type { Memory } from "../../../src/tensor/wasm/memory.ts";
import { open } from "../../../src/tensor/wasm/open.ts";
import { random } from "../../judge/reference.ts";
import { linear, Sketch } from "../conformance.ts";

async function opened(threads?: number): Promise<WasmBackend> {
  const options = { named: true, chosenForms: () => new Map(), gpu: async () => undefined, withoutGpu: () => "" };
  const found = await open({ ...options, dtype: "f32", threads, threading: nodeThreads });
  return found!.backend as WasmBackend;
}

/** A program that copies so many rows. */
function copy(rows: number) {
  const p = new Recorder();
  const x = p.input("x", [rows, 64]);
  p.output(
    "y",
    p.rows(
      x,
      Array.from({ length: rows }, (_, row) => row),
    ),
  );
  return p.finish();
}

describe("the wasm backend", () => {
  it("gives the same bits on any number of threads", async () => {
    const found: Float32Array[] = [];
    for (const threads of [1, 2, 3]) {
      const b = await opened(threads);
      expect(b.threads).toBe(threads);
      found.push((await linear([65, 101], 129, { gelu: true }).run(b, "q4")).actual);
      b.dispose();
    }
    expect(found[1]).toEqual(found[0]);
    expect(found[2]).toEqual(found[0]);
  });

  it("gives back what a batch took for which there was no room, and serves a smaller one", async () => {
    const b = await opened();
    const x = random(8 * 64, 1);
    await b.run(copy(8), { x });
    const before = b.bytes;
    const memory = (b as unknown as { memory: Memory }).memory;
    const alloc = memory.alloc.bind(memory);
    vi.spyOn(memory, "alloc").mockImplementation((bytes) => {
      // The second of the two large buffers.
      if (bytes > 1e6 && memory.bytes > 1e6) throw new SiglipError("no room", { code: "out-of-memory" });
      return alloc(bytes);
    });
    await expect(b.run(copy(8192), { x: new Float32Array(8192 * 64) })).rejects.toMatchObject({
      code: "out-of-memory",
    });
    vi.restoreAllMocks();
    expect((await b.run(copy(8), { x })).y).toEqual(x);
    expect(b.bytes).toBeLessThanOrEqual(before + 4096);
    b.dispose();
    expect(b.bytes).toBe(0);
  });

  it("keeps nothing of a weight that is refused", async () => {
    const b = await opened();
    const sketch = new Sketch(b);
    // What threads keep for themselves is there after the first.
    await sketch.matrix(random(40 * 48, 1), 40, 48, "f32");
    await b.loaded();
    const before = b.bytes;
    const odd = new Float32Array(40 * 48).fill(Number.NaN);
    await expect(sketch.matrix(odd, 40, 48, "f32")).rejects.toMatchObject({ code: "bad-checkpoint" });
    await b.loaded();
    expect(b.bytes).toBe(before);
    b.dispose();
  });

  it("says what to allow where a policy forbids to compile", async () => {
    const refuse = () => {
      throw new WebAssembly.CompileError("disallowed by embedder");
    };
    vi.spyOn(WebAssembly, "Module").mockImplementation(refuse as never);
    vi.spyOn(WebAssembly, "compile").mockImplementation(async () => refuse());
    expect(probe()).toMatchObject({ dot: false });
    await expect(opened().then((b) => linear([3, 48], 40).run(b, "f32"))).rejects.toThrow(/wasm-unsafe-eval/);
    vi.restoreAllMocks();
  });
});
