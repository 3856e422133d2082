import { expect, it, vi } from "vitest";
import { nodeThreads } from "../../src/node/threads.ts";
import { float32ToHalf, toFloat32 } from "../../src/support/numbers.ts";
import { HostRounding } from "../../src/tensor/host-rounding.ts";
import type { FloatChunk } from "../../src/tensor/packing.ts";
import { packRows } from "../../src/tensor/quantise.ts";
import type { Thread, Threads } from "../../src/tensor/wasm/crowd.ts";
import { Packer } from "../../src/tensor/wasm/packer.ts";
import { random } from "../judge/reference.ts";

const DTYPES = ["f16", "q8", "q4"] as const;

/** Rows as a file holds them, at an address that suits nothing. */
function chunkOf(values: Float32Array, width: number, dtype: FloatChunk["dtype"] = "F32"): FloatChunk {
  const bits = new Uint32Array(values.slice().buffer);
  const stored = { F32: values, F16: float32ToHalf(values), BF16: Uint16Array.from(bits, (word) => word >>> 16) }[
    dtype
  ];
  const bytes = new Uint8Array(stored.byteLength + 1).subarray(1);
  bytes.set(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength));
  return { dtype, rows: values.length / width, bytes };
}

const twoThreads = (): Threads => ({ ...nodeThreads(), cores: 2 });

for (const [name, threading] of [
  ["two threads", twoThreads],
  ["the caller's own thread", undefined],
] as const) {
  it(`gives the plain code's bits on ${name}`, async () => {
    const packed = vi.spyOn(Packer.prototype, "pack");
    const rounding = new HostRounding(threading, 0);
    for (const [rows, width] of [
      [300, 101],
      [31, 608],
      [17, 4304],
    ]) {
      const values = random(rows * width, rows, 0.05);
      values[width + 3] = 70_000; // beyond the largest half
      for (const dtype of ["F32", "F16", "BF16"] as const) {
        if (dtype === "F16") values[width + 3] = 1;
        const chunk = chunkOf(values.slice(), width, dtype);
        for (const as of DTYPES) {
          const found = await rounding.round(chunk, width, as, "w");
          const wanted = packRows(toFloat32(chunk.bytes, dtype), width, as);
          expect([found.dtype, found.rows]).toEqual([wanted.dtype, wanted.rows]);
          expect(Buffer.compare(found.bytes, wanted.bytes), `${dtype} to ${as} of ${width}`).toBe(0);
          expect(Buffer.compare(found.scales ?? found.bytes, wanted.scales ?? wanted.bytes)).toBe(0);
          expect(found.bytes.buffer, "devices refuse shared memory").toBeInstanceOf(ArrayBuffer);
        }
      }
    }
    expect(packed.mock.settledResults.every(({ type, value }) => type === "fulfilled" && value !== undefined)).toBe(
      true,
    );
    expect(packed).toHaveBeenCalledTimes(27);
    packed.mockRestore();
    rounding.close();
  });
}

it("names the weight that is not finite", async () => {
  const rounding = new HostRounding(undefined, 0);
  for (const as of DTYPES) {
    const values = random(64 * 512, 1);
    values[20_000] = Number.NaN;
    await expect(rounding.round(chunkOf(values, 512), 512, as, "some.weight")).rejects.toThrow(
      /^some\.weight: wanted fin/,
    );
  }
  rounding.close();
});

it("starts nothing for a small model, and starts anew after close", async () => {
  const opened = vi.spyOn(Packer, "open");
  const chunk = chunkOf(random(512 * 64, 1), 64);
  const rounding = new HostRounding(undefined, 3 * 512 * 64);
  for (let i = 0; i < 3; i++) await rounding.round(chunk, 64, "q8", "w");
  expect(opened).toHaveBeenCalledTimes(0);
  for (let i = 0; i < 2; i++) {
    await rounding.round(chunk, 64, "q8", "w");
    rounding.close();
  }
  expect(opened).toHaveBeenCalledTimes(2);
  const pack = vi.spyOn(Packer.prototype, "pack").mockImplementationOnce(async () => {
    rounding.close();
    throw new Error("ended while it worked");
  });
  for (let i = 0; i < 2; i++) await rounding.round(chunk, 64, "q8", "w");
  expect(opened).toHaveBeenCalledTimes(4);
  rounding.close();
  pack.mockRestore();
  opened.mockRestore();
});

it("goes on by the plain code where there is no WebAssembly, and when a thread dies", async () => {
  const chunk = chunkOf(random(512 * 64, 1), 64);
  const wanted = packRows(toFloat32(chunk.bytes, "F32"), 64, "q4");
  const open = vi.spyOn(Packer, "open").mockResolvedValueOnce(undefined).mockRejectedValueOnce(new Error("no memory"));
  for (let i = 0; i < 2; i++) expect(await new HostRounding(undefined, 0).round(chunk, 64, "q4", "w")).toEqual(wanted);
  open.mockRestore();

  const threads: Thread[] = [];
  const deaths: (() => void)[] = [];
  const [spawn] = twoThreads().ways as Exclude<Threads["ways"], string>;
  const mortal: Threads = {
    cores: 2,
    ways: [
      (tell, died, text) => {
        const thread = spawn(tell, died, text);
        threads.push(thread);
        deaths.push(() => died("a test"));
        return thread;
      },
    ],
  };
  const rounding = new HostRounding(() => mortal, 0);
  expect(await rounding.round(chunk, 64, "q4", "w")).toEqual(wanted);
  const under = rounding.round(chunk, 64, "q4", "w");
  deaths[0]();
  expect(await under).toEqual(wanted);
  expect(await rounding.round(chunk, 64, "q4", "w")).toEqual(wanted);
  expect(threads.length).toBe(2);
  rounding.close();
});
