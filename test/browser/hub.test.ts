import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Hub, serveHub } from "../harness/hub.ts";
import { bytesServed, serveFiles } from "../harness/server.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";

const demo = new URL("../../weights/demo/", import.meta.url);
const names = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"];
const files = Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(new URL(name, demo)))]));
const { file, labels, logits } = JSON.parse(readFileSync(new URL("examples/examples.json", demo), "utf8")).examples[0];
const picture = `/demo/examples/${file}`;

let chromium: Setup;
let hub: Hub;
beforeAll(async () => {
  chromium = await setUp(["page.ts"], { demo });
  hub = await serveHub();
  hub.publish("org/demo", files);
});
afterAll(async () => {
  await chromium?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

describe("a page", () => {
  inChromium("loads an id of the Hub from its CDN, which never sees the token", "cpu", async () => {
    hub.gate("org/demo", "secret");
    const page = await chromium.openPage();
    const found = await page.evaluate(
      ([endpoint, image, texts]) =>
        siglip.score("org/demo", { backend: "cpu", endpoint, token: "secret" }, image, texts),
      [hub.endpoint, picture, labels] as const,
    );
    for (const [i, logit] of logits.entries()) expect(Math.abs(found.logits[i] - logit)).toBeLessThan(0.01);
    const asked = hub.site.requests.filter(({ method }) => method === "GET");
    expect(asked.length).toBeGreaterThan(0);
    expect(new Set(asked.map(({ headers }) => headers.authorization))).toEqual(new Set(["Bearer secret"]));
    expect(hub.cdn.requests.length).toBeGreaterThan(0);
    for (const { headers, method } of hub.cdn.requests) {
      expect(headers.authorization).toBeUndefined();
      expect(headers["access-control-request-headers"] ?? "").not.toMatch(/authorization/i);
      expect(method).toBe("GET");
    }
    const all = Object.values(files).reduce((sum, data) => sum + data.length, 0);
    console.log(
      `chromium: ${asked.length} requests to the hub, ${hub.cdn.requests.length} to the CDN, ${bytesServed(hub.cdn)} bytes of ${all}`,
    );
  });

  inChromium(
    "loads weights by their URL on another origin without a preflight, and half of them for pictures",
    "cpu",
    async () => {
      const other = await serveFiles({ ...files, "weights.safetensors": files["model.safetensors"] });
      other.files.delete("model.safetensors");
      const page = await chromium.openPage();
      const failure = await page.evaluate(
        ([url, image]) =>
          siglip.failure(siglip.score(url, { backend: "cpu", towers: ["image"], token: "secret" }, image, ["a"])),
        [`${other.url}weights.safetensors`, picture] as const,
      );
      expect(failure).toMatch(/^SiglipError: The text tower: wanted it loaded, found it was not asked for/);
      expect(new Set(other.requests.map(({ method }) => method))).toEqual(new Set(["GET"]));
      for (const { headers } of other.requests) {
        expect([headers.authorization, headers["if-range"]]).toEqual([undefined, undefined]);
      }
      // The image tower, which is 3,058,080 bytes of the file, and at most 64 KiB with the first answer of each file.
      expect(bytesServed(other)).toBeGreaterThan(3_058_080);
      expect(bytesServed(other)).toBeLessThan(3_058_080 + 3 * 2 ** 16);
      other.misbehave("weights", { headers: { ETag: '"another"' } });
      other.misbehave("weights", {}, 1);
      const changed = await page.evaluate(
        ([url, image]) => siglip.failure(siglip.score(url, { backend: "cpu" }, image, ["a"])),
        [`${other.url}weights.safetensors`, picture] as const,
      );
      expect(changed).toMatch(
        /^SiglipError: .* another version by now; load it again, since it changed on the server\.$/,
      );
      await other[Symbol.asyncDispose]();
    },
  );
});
