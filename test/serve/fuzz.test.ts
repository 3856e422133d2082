import fc from "fast-check";
import { expect, it } from "vitest";
import type { NodeImage } from "../../src/node/platform.ts";
import { createService } from "../../src/serve/service.ts";
import type { Siglip } from "../../src/siglip/siglip.ts";

/** A model that takes nothing but texts and bytes. */
const model = {
  dim: 3,
  config: { text: { positions: 64 }, vision: { tokens: 196 }, image: {} },
  device: { batch: { images: 8, texts: 32 } },
  similarity: (_: unknown, { shape }: { shape: number[] }) => ({
    logits: new Float32Array(shape[0]),
    probabilities: new Float32Array(shape[0]),
  }),
  async *embedStream(items: readonly unknown[]) {
    for (const item of items) if (typeof item !== "string" && !(item instanceof Uint8Array)) throw new Error("no item");
    yield { embeddings: items.map(() => new Float32Array(3).fill(0.5)) };
  },
};

const leaf = fc.oneof(
  fc.string(),
  fc.constantFrom("data:image/png;base64,AAAA", "data:,x", "http://x/", "AAAA", "base64", "demo", "{label}"),
  fc.constantFrom(null, 0, 3, true),
);
const picture = fc.record(
  { image: leaf, text: leaf, image_url: fc.oneof(leaf, fc.record({ url: leaf })) },
  { requiredKeys: [] },
);
const value = fc.oneof(leaf, picture, fc.array(fc.oneof(leaf, picture), { maxLength: 5 }), fc.jsonValue());
const names = ["input", "image", "labels", "templates", "model", "encoding_format", "dimensions"];
const fields = fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] });

function toForm(fields: Record<string, unknown>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) {
      const text = typeof one === "string" ? one : JSON.stringify(one);
      form.append(name, text.length % 2 ? new Blob([text]) : text);
    }
  }
  return form;
}

it("whatever is asked, the service answers, and no fault is its own", async () => {
  const faults: unknown[] = [];
  const service = createService(model as unknown as Siglip<NodeImage>, {
    ...{ name: "demo", maxWait: 0, maxQueue: 64, maxItems: 16, maxBody: 2 ** 16, bodyTime: 500, maxHeld: 2 ** 20 },
    ...{ allowUrls: false, onFault: (error: unknown) => faults.push(error) },
  });
  const post = async (path: string, init: RequestInit) => {
    const answer = await service.fetch(new Request(`http://localhost${path}`, { method: "POST", ...init }));
    const { error } = (await answer.json()) as { error?: { message: string } };
    expect([answer.status < 500, answer.status === 200]).toEqual([true, error === undefined]);
    return answer.status;
  };
  const path = fc.constantFrom("/v1/embeddings", "/v1/classify");
  const statuses = new Set<number>();
  const known = fc.asyncProperty(path, fields, fc.boolean(), async (path, fields, form) => {
    const json = { headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) };
    statuses.add(await post(path, form ? { body: toForm(fields) } : json));
  });
  await fc.assert(known, { numRuns: 300 });
  const types = [
    "application/json",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "image/png",
    "text/plain",
  ];
  const bytes = fc.asyncProperty(path, fc.constantFrom(...types), fc.uint8Array(), async (path, type, body) => {
    statuses.add(await post(path, { headers: { "Content-Type": type }, body: body as BodyInit }));
  });
  await fc.assert(bytes, { numRuns: 200 });
  expect(faults).toEqual([]);
  expect([200, 400, 415].filter((status) => !statuses.has(status))).toEqual([]);
});
