import { readFileSync } from "node:fs";
import { connect } from "node:net";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Siglip } from "../../src/node.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { createService, type Service, type ServiceOptions } from "../../src/serve/service.ts";
import { example, examples } from "../siglip/demo.ts";

const KEY = "a-key-of-the-tests";
const OPTIONS: ServiceOptions = {
  ...{ name: "demo", batch: 4, maxWait: 5, maxQueue: 64, maxItems: 16, maxBody: 2 ** 20, bodyTime: 2000 },
  ...{ maxHeld: 2 ** 22, allowUrls: false },
};
const cats = readFileSync(example("two-cats.png"));
const dataUrl = `data:image/png;base64,${cats.toString("base64")}`;

let model: Siglip;
let service: Service;
let server: Listening;
const faults: unknown[] = [];
const serve = (options: Partial<ServiceOptions> = {}) =>
  createService(model, { ...OPTIONS, onFault: (error) => faults.push(error), ...options });

beforeAll(async () => {
  model = await Siglip.load("demo", { backend: "wasm", threads: 1, maxPixels: 2_000_000 });
  service = serve({ key: KEY });
  server = await listen(service.fetch, { port: 0, host: "127.0.0.1", keepAlive: 5000, bodyTime: 2000 });
});
afterAll(async () => {
  await server?.close();
  model?.dispose();
  expect(faults).toEqual([]);
});

function post(to: Service, path: string, body: unknown, signal?: AbortSignal) {
  const headers = { "Content-Type": "application/json" };
  const request = new Request(`http://localhost${path}`, {
    method: "POST",
    body: JSON.stringify(body),
    headers,
    signal,
  });
  return to.fetch(request);
}
const embed = async (to: Service, input: unknown, more = {}) => post(to, "/v1/embeddings", { input, ...more });
/** Status, code, parameter and message of a refusal. */
async function refusal(answer: Response | Promise<Response>) {
  const response = await answer;
  const { error } = (await response.json()) as { error: { code: string; param: string; message: string } };
  return [response.status, error.code, error.param, error.message];
}
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.hypot(...Array.from(a, (value, d) => value - b[d]));
/** The value of a line of the metrics. */
async function metric(of: Service, series: string): Promise<number> {
  const text = await (await of.fetch(new Request("http://localhost/metrics"))).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length),
  );
}

describe("OpenAI's client", () => {
  const client = (apiKey = KEY) => new OpenAI({ apiKey, baseURL: `${server.url}/v1`, maxRetries: 0 });

  it("gets texts and pictures, in floats or base64, as the model itself gives them", async () => {
    const input = ["a photo of 2 cats", dataUrl, "a plane"];
    const texts = await model.embedTexts([input[0], input[2]]);
    const images = await model.embedImages([cats]);
    const wanted = [texts.data.subarray(0, model.dim), images.data, texts.data.subarray(model.dim)];
    for (const encoding_format of [undefined, "float", "base64"] as const) {
      const found = await client().embeddings.create({ model: "demo", input, encoding_format });
      expect([found.object, found.model, found.data.map(({ index }) => index)]).toEqual(["list", "demo", [0, 1, 2]]);
      const tokens = 2 * model.config.text.positions + model.config.vision.tokens;
      expect(found.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
      for (const [row, { embedding }] of found.data.entries()) {
        const bytes = encoding_format === "base64" && Buffer.from(embedding as unknown as string, "base64");
        const values = bytes
          ? new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
          : embedding;
        expect(values.length).toBe(model.dim);
        expect(distance(values, wanted[row])).toBeLessThan(1e-5);
      }
    }
    const { data } = await client().embeddings.create({ model: "demo", input: input[0] });
    expect(distance(data[0].embedding, wanted[0])).toBeLessThan(1e-5);
    expect((await client().models.list()).data.map(({ id }) => id)).toEqual(["demo"]);
  });

  it("gets errors that it knows", async () => {
    const asked = { model: "demo", input: "x" };
    const failure = (request: object, key?: string) =>
      client(key)
        .embeddings.create({ ...asked, ...request })
        .catch((error) => error);
    expect(await failure({}, "another")).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(await failure({ model: "another" })).toBeInstanceOf(OpenAI.NotFoundError);
    expect(await failure({ model: "another" })).toMatchObject({ code: "model_not_found", param: "model" });
    const tokens = await failure({ input: [[1, 2]] });
    expect(tokens).toBeInstanceOf(OpenAI.BadRequestError);
    expect(tokens.message).toBe(
      "400 input: wanted texts or pictures, found tokens; send the text, which is tokenised here.",
    );
    expect(await failure({ dimensions: 3 })).toMatchObject({ status: 400, param: "dimensions" });
  });
});

describe("a service", () => {
  it("puts many clients into common batches, and gives each its own", async () => {
    const one = serve();
    const texts = Array.from({ length: 12 }, (_, index) => `a photo of ${index} dogs`);
    const answers = await Promise.all(texts.map((text) => embed(one, text)));
    const alone = await Promise.all(texts.map((text) => model.embedTexts([text])));
    for (const [row, answer] of answers.entries()) {
      const { data } = (await answer.json()) as { data: [{ embedding: number[] }] };
      expect(distance(data[0].embedding, alone[row].data)).toBeLessThan(1e-5);
    }
    expect(await metric(one, 'siglip_batch_size_count{kind="text"}')).toBe(3);
    expect(await metric(one, 'siglip_batch_size_sum{kind="text"}')).toBe(12);
    expect(await metric(one, 'siglip_requests_total{route="/v1/embeddings",status="200"}')).toBe(12);
  });

  it("names the bad picture of a list, and others in the batch are not touched", async () => {
    const one = serve();
    const image = cats.toString("base64");
    const [bad, sound] = await Promise.all([
      embed(one, ["x", { image }, { image: cats.subarray(0, 2000).toString("base64") }]),
      embed(one, { image: dataUrl }),
    ]);
    expect(await refusal(bad)).toEqual([
      400,
      "invalid_value",
      "input[2]",
      expect.stringMatching(/^input\[2\]: the picture: /),
    ]);
    expect(sound.status).toBe(200);
  });

  it("classifies as the model does, from JSON and from uploads", async () => {
    const one = serve();
    const [{ labels, file }] = examples;
    const image = readFileSync(example(file));
    const wanted = await model.classify(image, labels);
    const form = new FormData();
    form.append("image", new Blob([image]), file);
    for (const label of labels) form.append("labels", label);
    const body = { image: image.toString("base64"), labels };
    const upload = new Request("http://localhost/v1/classify", { method: "POST", body: form });
    for (const answer of [await post(one, "/v1/classify", body), await one.fetch(upload)]) {
      const found = (await answer.json()) as { labels: typeof wanted };
      expect(found.labels.map(({ label }) => label)).toEqual(wanted.map(({ label }) => label));
      for (const [at, { logit }] of found.labels.entries()) expect(logit).toBeCloseTo(wanted[at].logit, 3);
    }
    // The labels of both were embedded once.
    expect(await metric(one, 'siglip_items_total{kind="text"}')).toBe(labels.length);
    const templates = ["none"];
    expect((await refusal(post(one, "/v1/classify", { ...body, templates }))).slice(0, 3)).toEqual([
      400,
      "invalid_value",
      "templates",
    ]);
    const picture = new Request("http://localhost/v1/embeddings", {
      ...{ method: "POST", body: image as BodyInit, headers: { "Content-Type": "image/png" } },
    });
    expect((await one.fetch(picture)).status).toBe(200);
  });

  it("keeps to its limits", async () => {
    const one = serve();
    const status = async (answer: Response | Promise<Response>) => (await refusal(answer)).slice(0, 3);
    expect(await status(embed(one, Array(17).fill("x")))).toEqual([413, "too_large", "input"]);
    expect(await status(embed(one, "x".repeat(2 ** 20)))).toEqual([413, "too_large", "body"]);
    expect(await status(embed(one, "x".repeat(40_000)))).toEqual([413, "too_large", "input"]);
    // The head of a PNG of 20,000 x 20,000 pixels.
    const huge = Buffer.from(cats);
    huge.writeUInt32BE(20_000, 16);
    huge.writeUInt32BE(20_000, 20);
    huge.writeUInt32BE(crc(huge.subarray(12, 29)), 29);
    expect(await status(embed(one, [{ image: huge.toString("base64") }]))).toEqual([413, "too_large", "input[0]"]);
    for (const input of [undefined, [], "", null, {}, [null], { image: "%" }, { image: "data:image/png,x" }]) {
      expect((await status(embed(one, input)))[0]).toBe(400);
    }
    expect(await status(embed(one, "x", { encoding_format: "hex" }))).toEqual([
      400,
      "invalid_value",
      "encoding_format",
    ]);
    expect(await status(one.fetch(new Request("http://localhost/v1/none")))).toEqual([404, "not_found", null]);
    const text = new Request("http://localhost/v1/embeddings", { method: "POST", body: "x" });
    expect(await status(one.fetch(text))).toEqual([415, "invalid_value", "Content-Type"]);
  });

  it("says when to come back where there is no room", async () => {
    const one = serve({ maxQueue: 16, batch: 100, maxWait: 300 });
    const all = await Promise.all(Array.from({ length: 6 }, () => embed(one, ["a", "b", "c", "d"])));
    const full = all.filter(({ status }) => status === 429);
    expect(all.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 429, 429]);
    for (const answer of full) expect(answer.headers.get("Retry-After")).toMatch(/^\d+$/);
    expect(await metric(one, 'siglip_rejected_total{reason="queue"}')).toBe(full.length);
  });

  it("forgets who goes away", async () => {
    const before = await metric(service, "siglip_cancelled_total");
    const body = JSON.stringify({ input: Array(16).fill(dataUrl).slice(0, 10) });
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    const head = `POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json`;
    socket.write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await vi.waitFor(async () => expect(await metric(service, 'siglip_queue{kind="image"}')).toBeGreaterThan(0), {
      interval: 1,
    });
    socket.destroy();
    await vi.waitFor(async () => expect(await metric(service, "siglip_cancelled_total")).toBe(before + 1), {
      interval: 2,
    });
    expect(await metric(service, 'siglip_queue{kind="image"}')).toBe(0);
    const gone = await embed(serve(), "x", {}).then(({ status }) => status);
    expect(gone).toBe(200);
  });

  it("answers what it has begun when it is to end, and nothing more", async () => {
    const one = serve({ maxWait: 30 });
    const health = async () => (await one.fetch(new Request("http://localhost/health"))).status;
    const begun = embed(one, ["a", "b"]);
    expect(await health()).toBe(200);
    const drained = one.drain();
    expect([(await refusal(embed(one, "c"))).slice(0, 2), await health()]).toEqual([[503, "shutting_down"], 503]);
    await drained;
    expect((await begun).status).toBe(200);
  });

  it("lets pages ask only where they were let", async () => {
    const ask = async (origin?: string) => {
      const headers = { Origin: "https://page.test", "Access-Control-Request-Method": "POST" };
      const to = serve({ origin, key: KEY });
      const answer = await to.fetch(new Request("http://localhost/v1/embeddings", { method: "OPTIONS", headers }));
      return [answer.status, answer.headers.get("Access-Control-Allow-Origin")];
    };
    expect(await ask()).toEqual([401, null]);
    expect(await ask("https://page.test")).toEqual([204, "https://page.test"]);
  });
});

function crc(bytes: Uint8Array): number {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
