import { describe, expect, it } from "vitest";
import type { NodeImage } from "../../src/node/platform.ts";
import { embedBatch } from "../../src/serve/embed-batch.ts";
import { Engine } from "../../src/serve/engine.ts";
import type { Input } from "../../src/serve/input.ts";
import { Refusal, toRefusal } from "../../src/serve/refusal.ts";
import { Room } from "../../src/serve/room.ts";
import type { Siglip } from "../../src/siglip/siglip.ts";
import { type ErrorCode, mismatch } from "../../src/support/error.ts";

const failure = (code: ErrorCode) => mismatch(code, "it", "this", "that", "mend it");

/** A model that embeds a text as its length, and fails as the text says. */
function model(batches: string[][] = []) {
  const fake = {
    dim: 1,
    device: { batch: { images: 2, texts: 8 } },
    async *embedStream(items: readonly string[]) {
      batches.push([...items]);
      const bad = items.find((item) => item[0] === "!");
      if (bad) throw failure(bad.slice(1) as ErrorCode);
      yield { first: 0, items, embeddings: items.map(({ length }) => Float32Array.of(length)) };
    },
  };
  return fake as unknown as Siglip<NodeImage>;
}
const { signal } = new AbortController();
const share = new Room(100).share();

describe("an engine", () => {
  it("tries a batch's items by themselves when one of them may have ruined it", async () => {
    const batches: string[][] = [];
    const found = await embedBatch(model(batches), "text", ["a", "!out-of-memory", "bc"], signal);
    expect(found).toEqual([Float32Array.of(1), failure("out-of-memory"), Float32Array.of(2)]);
    expect(batches.map(({ length }) => length)).toEqual([3, 1, 1, 1]);
    expect(await embedBatch(model(), "text", ["!bad-checkpoint"], signal)).toEqual([failure("bad-checkpoint")]);
  });

  it("lives on after a device is lost for good: those in the batch are told to come back", async () => {
    const engine = new Engine(model(), { maxWait: 1, maxQueue: 8 });
    const text = (text: string): Input => ({ kind: "text", text });
    const lost = await engine.embed([text("!device-lost")], signal, share).catch((error) => error);
    expect(toRefusal(lost)).toMatchObject({ status: 503, code: "overloaded", retryAfter: 1 });
    expect(await engine.embed([text("abc"), text("d")], signal, share)).toEqual([
      Float32Array.of(3),
      Float32Array.of(1),
    ]);
  });

  it("fetches pictures as far as there is room for them, and names one that it cannot have", async () => {
    const fetch = async ({ pathname }: URL) => {
      if (pathname === "/bad") throw failure("network");
      return new Uint8Array(10);
    };
    const engine = new Engine(model(), { maxWait: 1, maxQueue: 8, fetcher: { limit: 60, fetch } });
    const at = (path: string): Input => ({ kind: "url", url: new URL(path, "http://outside.test") });
    const inputs: Input[] = [{ kind: "text", text: "abc" }, at("/a"), at("/b")];
    const room = new Room(130);
    expect(await engine.embed(inputs, signal, room.share())).toEqual(
      [3, 10, 10].map((value) => Float32Array.of(value)),
    );
    const bad = await engine.embed([...inputs, at("/bad")], signal, new Room(200).share()).catch((error) => error);
    expect(toRefusal(bad)).toMatchObject({ status: 400, param: "input[3]" });
    // The first two are still held.
    const full = await engine.embed(inputs, signal, room.share()).catch((error) => error);
    expect(full).toMatchObject({ status: 429, retryAfter: 1 });
  });

  it("tells a stranger nothing of a fault of ours", () => {
    expect(toRefusal(new TypeError("secret"))).toBeUndefined();
    expect(toRefusal(failure("bad-checkpoint"))).toBeUndefined();
    expect(toRefusal(failure("unsupported"))).toBeInstanceOf(Refusal);
  });
});
