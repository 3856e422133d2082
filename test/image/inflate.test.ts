import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inflate } from "../../src/image/inflate.ts";
import { inflateSlowly } from "../../src/image/inflate-slowly.ts";
import { inflateByZlib } from "../../src/node/images/inflate.ts";
import { Slice } from "../../src/support/slices.ts";

const text = Buffer.from("a picture is worth a thousand words, a picture is worth a thousand words ".repeat(40));

describe.each([
  ["the platform's stream", inflate],
  ["zlib", inflateByZlib],
])("inflate by %s", (_, inflate) => {
  it("gives what zlib was given, fast and slowly, at every level and of every kind of data", async () => {
    const property = fc.asyncProperty(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(text), fc.constant(Buffer.alloc(700)))),
      fc.integer({ min: 0, max: 9 }),
      fc.integer({ min: 0, max: 4 }),
      async (parts, level, strategy) => {
        const bytes = new Uint8Array(Buffer.concat(parts));
        const deflated = deflateSync(bytes, { level, strategy });
        const wanted = { data: bytes, broken: false };
        expect(await inflate(deflated, bytes.length)).toEqual(wanted);
        expect(await inflateSlowly(deflated, bytes.length, new Slice())).toEqual(wanted);
        const less = bytes.length >> 1;
        expect(await inflate(deflated, less)).toEqual({ data: bytes.subarray(0, less), broken: false });
        expect(await inflateSlowly(deflated, bytes.length + 9, new Slice())).toEqual(wanted);
      },
    );
    await fc.assert(property, { seed: 6, numRuns: 60 });
  });

  it("gives what comes before a stream ends, whose end is no fault", async () => {
    const deflated = deflateSync(text);
    let before = 0;
    for (let length = 0; length < deflated.length; length++) {
      const { data, broken } = await inflate(deflated.subarray(0, length), text.length);
      expect(broken).toBe(false);
      expect(data.length).toBeGreaterThanOrEqual(before);
      expect(Buffer.compare(data, text.subarray(0, data.length))).toBe(0);
      before = data.length;
    }
    expect(before).toBe(text.length);
  });

  it("does not mind what follows the stream, nor what it holds beyond", async () => {
    const deflated = Buffer.concat([deflateSync(text), Buffer.alloc(99, 3)]);
    expect(await inflate(deflated, text.length)).toEqual({ data: new Uint8Array(text), broken: false });
    const wrong = deflateSync(text);
    wrong[wrong.length - 1] ^= 1;
    expect((await inflate(wrong, text.length - 1)).broken).toBe(false);
  });

  it.each([
    ["a false checksum", () => deflateSync(text).fill(0, deflateSync(text).length - 1)],
    ["a false header", () => deflateSync(text).fill(0x79, 0, 1)],
    ["a block of no kind", () => Buffer.of(0x78, 0x9c, 7, 7, 7)],
    ["a copy from before the beginning", () => Buffer.of(0x78, 0x9c, 0x03, 0x82, 0, 0, 0)],
    ["a stored block whose length is wrong", () => deflateSync(text, { level: 0 }).fill(0, 5, 6)],
  ])("tells %s", async (_, make) => {
    expect((await inflate(make(), text.length)).broken).toBe(true);
  });

  it("gives way while it is slow, and hears an abort", async () => {
    const large = deflateSync(Buffer.alloc(8 << 20, text));
    large[large.length - 1] ^= 1;
    let turns = 0;
    const timer = setInterval(() => turns++);
    expect((await inflate(large, 8 << 20)).broken).toBe(true);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
    const slice = new Slice(AbortSignal.abort(new Error("enough")));
    await expect(inflateSlowly(large, 8 << 20, slice)).rejects.toThrow("enough");
  });

  it("gives a picture or a fault for any damage, and the same as fast as slowly", async () => {
    const deflated = deflateSync(text);
    const property = fc.asyncProperty(fc.nat(deflated.length - 1), fc.nat(255), async (at, value) => {
      const copy = Buffer.from(deflated).fill(value, at, at + 1);
      expect(await inflate(copy, text.length)).toEqual(await inflateSlowly(copy, text.length, new Slice()));
    });
    await fc.assert(property, { seed: 8, numRuns: 300 });
  });
});
