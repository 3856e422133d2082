import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Memory } from "../../../src/tensor/wasm/memory.ts";

describe("the allocator", () => {
  for (const shared of [false, true]) {
    it(`gives aligned blocks that keep what is in them while ${shared ? "shared " : ""}memory grows`, () => {
      const memory = new Memory({ shared });
      expect(memory.memory.buffer.byteLength).toBe(2 ** 16);
      const pointers = Array.from({ length: 200 }, (_, i) => {
        const pointer = memory.alloc(4 * i + 4);
        memory.intsAt(pointer, i + 1).fill(i);
        return pointer;
      });
      expect(pointers.every((pointer) => pointer > 0 && pointer % 64 === 0)).toBe(true);
      const large = memory.alloc(5_000_000);
      expect(memory.bytesAt(large, 5_000_000).length).toBe(5_000_000);
      for (const [i, pointer] of pointers.entries()) {
        expect(memory.intsAt(pointer, i + 1).every((value) => value === i)).toBe(true);
      }
      // Grown by what was missing and no more than a page.
      expect(memory.memory.buffer.byteLength - memory.bytes).toBeLessThan(2 ** 17);
      for (const pointer of [...pointers, large]) memory.free(pointer);
      expect(memory.bytes).toBe(0);
    });
  }

  it("gives freed room out again, whatever the order", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.nat()), { maxLength: 80 }), (calls) => {
        const memory = new Memory({ shared: false });
        const blocks: { pointer: number; size: number }[] = [];
        for (const [size, which] of calls) {
          if (which % 3 === 0 && blocks.length > 0) {
            memory.free(blocks.splice(which % blocks.length, 1)[0].pointer);
            continue;
          }
          const pointer = memory.alloc(size);
          for (const other of blocks) {
            expect(pointer + size <= other.pointer || other.pointer + other.size <= pointer).toBe(true);
          }
          blocks.push({ pointer, size });
          expect(pointer + size).toBeLessThanOrEqual(memory.memory.buffer.byteLength);
        }
        for (const { pointer } of blocks) memory.free(pointer);
        expect(memory.bytes).toBe(0);
        // All of it is one span again.
        const all = memory.memory.buffer.byteLength - 64;
        memory.alloc(all);
        expect(memory.memory.buffer.byteLength).toBe(all + 64);
      }),
    );
  });

  it("reaches almost 4 GiB, with views beyond 2 GiB, and says so when there is no more", () => {
    const memory = new Memory({ shared: true });
    // Nothing but what is written to is ever resident.
    const first = memory.alloc(2 ** 31);
    const second = memory.alloc(2 ** 31 - 2 ** 17);
    const [last] = [memory.bytesAt(second + 2 ** 31 - 2 ** 17 - 1, 1)];
    last[0] = 7;
    expect(last[0]).toBe(7);
    const used = memory.bytes;
    expect(() => memory.alloc(2 ** 17)).toThrow(
      expect.objectContaining({
        code: "out-of-memory",
        message: expect.stringMatching(/^wasm memory: wanted 131072 more bytes, found \d+ in use .*; load with .*\.$/),
      }),
    );
    expect(memory.bytes).toBe(used);
    memory.free(first);
    expect(memory.alloc(2 ** 20)).toBe(first);
  });

  it("refuses to free what is no block", () => {
    const memory = new Memory({ shared: false });
    const pointer = memory.alloc(1);
    memory.free(pointer);
    expect(() => memory.free(pointer)).toThrow(/^free: wanted the pointer of a block/);
  });
});
