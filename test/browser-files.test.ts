import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listFiles } from "../src/browser/list.ts";
import { urlFiles, urlSource } from "../src/browser/url.ts";
import type { Source } from "../src/checkpoint/source.ts";
import { answerRange, type Site, serve } from "./browser/site.ts";

/** Longer than what comes with the first request, so that later ones are seen. */
const file = Uint8Array.from({ length: 600_000 }, (_, i) => Math.imul(i, 2654435761) >>> 24);
const oneSentence = /^[^;]*wanted [^;]*, found [^;]*; [^;]*\.$/;

/** How servers get it wrong: the answer to a range, from `first` on, of a file that is `file` in truth. */
const wrong: Record<string, (response: ServerResponse, first: number) => void> = {
  "another range": (response) => part(response, "bytes 1-4/600000", file.subarray(1, 5)),
  "a shorter range": (response, first) => part(response, `bytes ${first}-${first + 1}/600000`, file.subarray(0, 2)),
  "no size": (response, first) =>
    part(response, `bytes ${first}-${first + 262143}/*`, file.subarray(first, first + 262144)),
  "no Content-Range": (response) => response.writeHead(206).end(file.subarray(0, 262144)),
  "fewer bytes than it says": (response, first) => {
    part(response, `bytes ${first}-${first + 262143}/600000`, file.subarray(first, first + 100));
  },
  "more bytes than it says": (response, first) => part(response, `bytes ${first}-${first + 262143}/600000`, file),
  "an end in the middle": (response, first) => {
    response.writeHead(206, { "Content-Range": `bytes ${first}-${first + 262143}/600000`, "Content-Length": 262144 });
    response.write(file.subarray(0, 1000), () => response.destroy());
  },
  "a failure": (response) => response.writeHead(500).end("no"),
  "a large file without ranges": (response) => response.writeHead(200, { "Content-Length": 5e9 }).write("0"),
  "a large file without ranges or length": (response) => {
    const block = Buffer.alloc(2 ** 20);
    const more = () => {
      if (!response.destroyed) response.write(block, more);
    };
    more();
  },
};

function part(response: ServerResponse, range: string, bytes: Uint8Array): void {
  response.writeHead(206, { "Content-Range": range }).end(bytes);
}

let site: Site;
beforeAll(async () => {
  let served = 0;
  site = await serve((request, response, path) => {
    const first = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1]);
    const name = path.split("/").at(-1)!;
    if (name === "good") answerRange(request, response, file);
    else if (name === "no file") response.writeHead(404).end("<p>none");
    else if (name === "page") response.setHeader("Content-Type", "text/html; charset=utf-8").end("<!doctype html>");
    else if (name === "empty") answerRange(request, response, new Uint8Array(0));
    else if (name === "no ranges") response.end(file);
    else if (name === "another by now") answerRange(request, response, served++ === 0 ? file : file.subarray(1));
    else if (name.startsWith("later ") && first === 0) answerRange(request, response, file);
    else wrong[name.replace("later ", "")](response, first);
  });
});
afterAll(async () => site?.[Symbol.asyncDispose]());

const open = (name: string) => urlFiles(new URL(`${site.url}model`)).open(name);
async function opened(name: string): Promise<Source> {
  const source = await open(name);
  if (!source) throw new Error(`Wanted ${name} on the server, found none.`);
  return source;
}

describe("a model's file under a URL", () => {
  it("is read by ranges of one request each, the first bytes by none", async () => {
    const source = await opened("good");
    expect([source.name, source.size]).toEqual([`${site.url}model/good`, file.length]);
    const before = site.requests.length;
    expect(await source.read(10, 90)).toEqual(file.slice(10, 100));
    expect(site.requests.length).toBe(before);
    for (const [offset, length] of [
      [262_100, 100],
      [599_999, 1],
      [300_000, 300_000],
    ]) {
      expect(Buffer.compare(await source.read(offset, length), file.slice(offset, offset + length))).toBe(0);
    }
    expect(site.requests.length).toBe(before + 3);
    expect((await source.read(600_000, 0)).length).toBe(0);
    await expect(source.read(599_999, 2)).rejects.toThrow("wanted bytes 599999 to 600001 but the file has 600000");
  });

  it("is read whole where the server knows no ranges and the file is small", async () => {
    const source = await opened("no ranges");
    expect(await source.read(262_100, 100)).toEqual(file.slice(262_100, 262_200));
    expect((await opened("empty")).size).toBe(0);
  });

  it("is absent where the server has none, or answers with a page", async () => {
    expect(await open("no file")).toBeUndefined();
    expect(await open("page")).toBeUndefined();
  });

  for (const name of Object.keys(wrong)) {
    it(`is refused where the server sends ${name}`, async () => {
      await expect(open(name)).rejects.toMatchObject({
        name: "SiglipError",
        message: expect.stringMatching(oneSentence),
      });
      const source = await opened(`later ${name}`);
      const read = source.read(262_144, 262_144);
      await expect(read).rejects.toMatchObject({ name: "SiglipError", message: expect.stringMatching(oneSentence) });
    });
  }

  it("is refused where it changed since", async () => {
    const source = await opened("another by now");
    await expect(source.read(300_000, 5)).rejects.toThrow("found that it has 599999 by now");
  });

  it("is refused where nobody answers, and where a URL has no paths", async () => {
    await expect(urlSource(new URL("http://127.0.0.1:9/x"))).rejects.toMatchObject({
      name: "SiglipError",
      message: expect.stringMatching(oneSentence),
    });
    expect(() => urlFiles(new URL("data:,hello"))).toThrow("wanted a folder's URL");
  });

  it("ends with the signal's reason", async () => {
    const source = await opened("good");
    const reason = new Error("enough");
    await expect(source.read(300_000, 5, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe("a model's files as someone chose them", () => {
  const at = (path: string, text: string) => {
    const file = new File([text], path.split("/").at(-1)!);
    return Object.defineProperty(file, "webkitRelativePath", { value: path });
  };
  const text = async (source?: Source) => source && new TextDecoder().decode(await source.read(0, source.size));

  it("are found by name, the least deep first", async () => {
    const files = listFiles([
      at("m/onnx/config.json", "deep"),
      at("m/config.json", "top"),
      new File(["x"], "spiece.model"),
    ]);
    expect(await text(await files.open("config.json"))).toBe("top");
    expect(await text(await files.open("spiece.model"))).toBe("x");
    for (const name of ["model.safetensors", "__proto__", "toString"]) expect(await files.open(name)).toBeUndefined();
  });

  it("are refused where two share a name, and where they are none", async () => {
    expect(() => listFiles([at("a/config.json", ""), at("b/config.json", "")])).toThrow(oneSentence);
    for (const wrong of ["config.json", new Blob(["x"]), null]) {
      expect(() => listFiles([wrong as File])).toThrow(oneSentence);
    }
  });
});
