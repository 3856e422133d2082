import { afterAll, beforeAll, describe, expect } from "vitest";
import { serveHub } from "../harness/hub.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";
import { expectSame, list, make, narrow, odd, oneSentence, serve, spiece, visit, visitor, words } from "./visit.ts";

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts"], {});
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

describe("the browser's cache", () => {
  const unwilling: Record<string, [() => void, RegExp]> = {
    "private files": [
      () => {
        delete (StorageManager.prototype as Partial<StorageManager>).getDirectory;
      },
      /without private files/,
    ],
    "leave to use private files": [
      () => {
        StorageManager.prototype.getDirectory = async () => {
          throw new DOMException("Security error when calling GetDirectory", "SecurityError");
        };
      },
      /GetDirectory/,
    ],
    room: [
      () => {
        StorageManager.prototype.estimate = async () => ({ quota: 100_000, usage: 50_000 });
      },
      /room for 50000 bytes where \d+ are needed/,
    ],
    "room for all of it": [
      () => {
        const make = FileSystemFileHandle.prototype.createWritable;
        let count = 0;
        FileSystemFileHandle.prototype.createWritable = async function () {
          if (count++ > 12) throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
          return make.call(this);
        };
      },
      /takes no more/,
    ],
  };
  for (const [how, [before, warning]] of Object.entries(unwilling)) {
    inChromium(`is done without where there is no ${how}, as a warning says`, "cpu", async () => {
      const open = await visitor(chromium);
      await using server = await serve();
      const found = await visit(await open(before), `${server.url}m/`, { dtype: "f16", words });
      expect(odd(found)).toEqual([expect.stringMatching(oneSentence)]);
      expect(odd(found)[0]).toMatch(warning);
      const plain = await open();
      expectSame(await visit(plain, `${server.url}m/`, { dtype: "f16", words, cache: false }), {
        ...found,
        warnings: [],
      });
      expect((await list(plain)).filter(({ complete }) => complete)).toEqual([]);
    });
  }

  inChromium("notices another version on the server, and has it at the next load", "cpu", async () => {
    const open = await visitor(chromium);
    await using server = await serve();
    const url = `${server.url}m/`;
    const page = await open();
    const options = { dtype: "f16", towers: ["image"], complete: 1 } as const;
    const first = await visit(page, url, options);
    const changed = new Uint8Array(narrow.weights);
    // The sign of a float32 in every tensor's tail.
    for (let at = changed.length - 1; at > 2 ** 16; at -= 4096) changed[at] ^= 0x80;
    server.files.set("m/model.safetensors", { content: changed });
    const second = await visit(page, url, { ...options, complete: 0 });
    expect(second.images).toEqual(first.images);
    while ((await list(page)).some(({ complete }) => complete)) await new Promise((r) => setTimeout(r, 20));
    const third = await visit(page, url, options);
    expect(third.images).not.toEqual(first.images);
    expect((await list(page)).length).toBe(1);
    const direct = await visit(page, url, { ...options, complete: 0, cache: false });
    expectSame(third, direct);
  });

  inChromium("keeps a Hub's model by its commit", "cpu", async () => {
    const open = await visitor(chromium);
    const hub = await serveHub();
    const files = { "config.json": narrow.json, "spiece.model": spiece, "model.safetensors": narrow.weights };
    const commit = hub.publish("org/name", files);
    const page = await open();
    const options = { dtype: "f16", words, complete: 1, endpoint: hub.endpoint } as const;
    const first = await visit(page, "org/name", options);
    expect(await list(page)).toMatchObject([{ model: `${hub.endpoint}/org/name`, version: commit, complete: true }]);
    const next = hub.publish("org/name", { ...files, "config.json": `${narrow.json} ` });
    // That there is another may be told already before this visit ends.
    const stale = await visit(page, "org/name", { ...options, complete: 0 });
    expect(stale).toMatchObject({ images: first.images, texts: first.texts });
    while ((await list(page)).some(({ complete }) => complete)) await new Promise((r) => setTimeout(r, 20));
    expectSame(await visit(page, "org/name", options), first);
    expect(await list(page)).toMatchObject([{ version: next, complete: true }]);
    await hub[Symbol.asyncDispose]();
    expectSame(await visit(page, "org/name", options), first);
  });

  inChromium("takes a large file from a server without ranges by way of a temporary one", "cpu", async () => {
    const open = await visitor(chromium);
    const wide = await make(400);
    expect(wide.weights.length).toBeGreaterThan(2 ** 24);
    const server = await serve(wide);
    const url = `${server.url}m/`;
    const page = await open();
    const options = { dtype: "q4", words } as const;
    const first = await visit(page, url, { ...options, cache: false });
    server.misbehave("model.safetensors", { ranges: false });
    const spooled = () =>
      page.evaluate(async () => {
        const names: string[] = [];
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-spool", {
          create: true,
        });
        for await (const name of root.keys()) names.push(name);
        return names;
      });
    // What a page left behind that ended early.
    await page.evaluate(async () => {
      const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-spool", { create: true });
      await root.getFileHandle("forgotten", { create: true });
    });
    const plain = await visit(page, url, { ...options, cache: false });
    expectSame(plain, { ...first, warnings: [] });
    while ((await spooled()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    const cached = await visit(page, url, { ...options, complete: 1 });
    while ((await spooled()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    const served = server.requests.length;
    expectSame(await visit(page, url, { ...options, complete: 1 }), cached);
    expect(server.requests.length).toBe(served);
    await server[Symbol.asyncDispose]();
  });

  inChromium("lists and deletes what it holds", "cpu", async () => {
    const open = await visitor(chromium);
    await using server = await serve();
    const page = await open();
    expect(await list(page)).toEqual([]);
    const url = `${server.url}m/`;
    await visit(page, url, { dtype: "q4", towers: ["image"], complete: 1 });
    await visit(page, url, { dtype: "f16", words, complete: 2 });
    const models = await list(page);
    expect(models.map(({ dtype, towers, complete }) => [dtype, towers, complete]).sort()).toEqual([
      ["f16", ["image", "text"], true],
      ["q4", ["image"], true],
    ]);
    await page.evaluate((model) => siglip.deleteCached(model), models.find(({ dtype }) => dtype === "q4")!);
    expect((await list(page)).map(({ dtype }) => dtype)).toEqual(["f16"]);
    await page.evaluate(() => siglip.deleteCached("another"));
    expect((await list(page)).length).toBe(1);
    await page.evaluate((url) => siglip.deleteCached(url), url);
    expect(await list(page)).toEqual([]);
  });
});
