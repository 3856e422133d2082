import { afterAll, beforeAll, describe, expect } from "vitest";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { serveFiles } from "../harness/server.ts";
import { syntheticData, syntheticShapes } from "../judge/synthetic.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";
import { expectSame, kept, list, narrow, visit, visitor } from "./visit.ts";

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts", "worker.ts"], {});
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

/** A server of the narrow model's image tower alone, its names behind a wrapper's. */
async function serveTower() {
  const shapes = [...syntheticShapes(narrow.config)].filter(([name]) => name.startsWith("vision_model."));
  const parts: Uint8Array[] = [];
  for await (const chunk of writeSafetensors(
    [...syntheticData(new Map(shapes))].map((tensor) => ({ ...tensor, name: `module.${tensor.name}` })),
  )) {
    parts.push(chunk);
  }
  const config = { ...JSON.parse(narrow.json).vision_config, model_type: "siglip_vision_model" };
  return serveFiles({ "m/config.json": JSON.stringify(config), "m/model.safetensors": Buffer.concat(parts) });
}

describe("the browser's cache", () => {
  inChromium("serves a tower alone without the network", "cpu", async () => {
    const open = await visitor(chromium);
    const server = await serveTower();
    const url = `${server.url}m/`;
    const before = await open();
    const first = await visit(before, url, { dtype: "q4", complete: 1 });
    // A load asks for what there is, and finds both halves complete.
    await expect.poll(() => kept(before)).toEqual(expect.arrayContaining(["image", "text"]));
    await server[Symbol.asyncDispose]();
    const page = await open();
    expectSame(await visit(page, url, { dtype: "q4" }), first);
    expect(await list(page)).toMatchObject([{ model: url, towers: ["image"], complete: true }]);
    expectSame(await visit(page, url, { dtype: "q4", towers: ["image"] }), first);
  });
});
