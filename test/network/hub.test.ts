import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Source } from "../../src/checkpoint/source.ts";
import type { ModelFiles } from "../../src/files/model-files.ts";
import { hubFiles, hubUrl, parseEndpoint, parseHubModel } from "../../src/network/hub.ts";
import { networkFiles } from "../../src/network/network-files.ts";
import { urlFiles } from "../../src/network/urls.ts";
import { SiglipError } from "../../src/support/error.ts";
import { type Hub, serveHub } from "../harness/hub.ts";

const oneSentence = /^[^;\n]*wanted [^;\n]*, found [^;\n]*; [^;\n]*\.$/;
const id = "org/model";

describe("a Hub's id", () => {
  it("is org/name, with a revision in it or beside it", () => {
    expect(parseHubModel("google/siglip-so400m-patch14-384")).toEqual({
      id: "google/siglip-so400m-patch14-384",
      revision: "main",
    });
    expect(parseHubModel("a/b@v1.0")).toEqual({ id: "a/b", revision: "v1.0" });
    expect(parseHubModel("a/b@refs/pr/3")).toEqual({ id: "a/b", revision: "refs/pr/3" });
    expect(parseHubModel("a/b", "dev")).toEqual({ id: "a/b", revision: "dev" });
    expect(parseHubModel("a/b@dev", "dev")).toEqual({ id: "a/b", revision: "dev" });
    for (const other of [
      "",
      "siglip",
      "a/b/c",
      "../b",
      "a/..",
      "a/b--c",
      "a/-b",
      "a/b.",
      "a b/c",
      "a/b?c",
      "/a",
      "a/",
      "é/b",
    ]) {
      expect(parseHubModel(other), other).toBeUndefined();
    }
    expect(parseHubModel(`a/${"b".repeat(95)}`)).toBeUndefined();
  });

  it("is refused with a revision that no git takes, and with two", () => {
    for (const revision of [
      "",
      "..",
      "../main",
      "a..b",
      "/main",
      "main/",
      "a b",
      "a\nb",
      "-x",
      "x~1",
      "a//b",
      "v?",
      "\ud800",
      "x".repeat(201),
    ]) {
      expect(() => parseHubModel("a/b", revision), revision).toThrow(oneSentence);
      expect(() => parseHubModel(`a/b@${revision}`), revision).toThrow(SiglipError);
    }
    expect(() => parseHubModel("a/b@dev", "main")).toThrow('found "dev" and "main"');
  });

  it("becomes a URL of which every part is encoded, and none climbs", () => {
    const model = { id, revision: "refs/pr/1" };
    expect(hubUrl("https://huggingface.co", model, "config.json").href).toBe(
      "https://huggingface.co/org/model/resolve/refs%2Fpr%2F1/config.json",
    );
    expect(hubUrl("http://mirror/hub/", { id, revision: "a#b%" }, "x y?.safetensors").href).toBe(
      "http://mirror/hub/org/model/resolve/a%23b%25/x%20y%3F.safetensors",
    );
    for (const file of [
      "../config.json",
      "a/../../b",
      "..",
      ".",
      "",
      "/etc/passwd",
      "a//b",
      "a\\..\\b",
      "a\0",
      "\udfff.json",
    ]) {
      expect(() => hubUrl("https://huggingface.co", model, file), file).toThrow(oneSentence);
    }
    for (const endpoint of ["huggingface.co", "file:///", "", "ftp://x", "https://me:secret@x", "https://x/?y"]) {
      expect(() => parseEndpoint(endpoint), endpoint).toThrow(oneSentence);
      expect(() => parseEndpoint(endpoint), endpoint).not.toThrow("secret");
    }
  });
});

describe("a model on a Hub", () => {
  /** Longer than what comes with the first answer. */
  const weights = (fill: number) => new Uint8Array(200_000).fill(fill);
  let hub: Hub;
  beforeAll(async () => {
    hub = await serveHub();
  });
  afterAll(async () => hub?.[Symbol.asyncDispose]());
  let first: string;
  beforeEach(() => {
    hub.site.behave();
    hub.cdn.behave();
    first = hub.publish(id, { "config.json": "{1}", "model.safetensors": weights(1) });
    hub.site.requests.length = hub.cdn.requests.length = 0;
  });
  const files = (name = id, options = {}): ModelFiles => networkFiles(name, { endpoint: hub.endpoint, ...options })!;
  const text = async (source?: Source) => source && new TextDecoder().decode(await source.read(0, source.size));

  async function refusal(promise: Promise<unknown>): Promise<string> {
    const error = await promise.then(
      () => new Error("nothing was refused"),
      (reason) => reason,
    );
    expect(error).toBeInstanceOf(SiglipError);
    expect(error.message).toMatch(oneSentence);
    return error.message;
  }

  it("is kept by where it came from: the same name elsewhere is another model", () => {
    const model = { id: "org/name", revision: "main" };
    const key = (endpoint?: string, revision = "main") => hubFiles({ ...model, revision }, { endpoint }).key;
    expect([key(), key("https://huggingface.co/"), key("https://HUGGINGFACE.co:443")]).toEqual(Array(3).fill(model.id));
    const others = [
      key("http://huggingface.co"),
      key("https://huggingface.co:444"),
      key("https://huggingface.co/mirror"),
      key("https://mirror.example"),
      key("https://mirror.example/org"),
      key(undefined, "other"),
      key("https://mirror.example", "other"),
      urlFiles(new URL("https://mirror.example/org/name")).key,
    ];
    expect(new Set([model.id, ...others]).size).toBe(others.length + 1);
  });

  it("is read from one commit, wherever its branch goes meanwhile", async () => {
    const model = files();
    expect([model.name, model.version]).toEqual([id, undefined]);
    expect(await text(await model.open("config.json"))).toBe("{1}");
    expect(model.version).toBe(first);
    const second = hub.publish(id, { "config.json": "{2}", "model.safetensors": weights(2), "spiece.model": "x" });
    const source = (await model.open("model.safetensors"))!;
    expect((await source.read(100_000, 2))[0]).toBe(1);
    expect(await text(await model.open("config.json"))).toBe("{1}");
    expect(await model.open("spiece.model")).toBeUndefined();
    await model.close();
    expect(await text(await model.open("config.json"))).toBe("{1}");
    expect(await text(await files(`${id}@${second}`).open("config.json"))).toBe("{2}");
    expect(hub.site.requests.map(({ path }) => path.split("/")[3])).toEqual([
      "main",
      first,
      first,
      first,
      first,
      second,
    ]);
  });

  it("has its commit from the API where answers hide it", async () => {
    hub.site.misbehave("/resolve/", { headers: { "X-Repo-Commit": "" } });
    const model = files();
    expect(await text(await model.open("config.json"))).toBe("{1}");
    expect(model.version).toBe(first);
    expect(hub.site.requests.map(({ path }) => path)).toEqual([
      "org/model/resolve/main/config.json",
      "api/models/org/model/revision/main",
      `org/model/resolve/${first}/config.json`,
    ]);
    hub.site.misbehave("api/", { entry: { content: "", status: 404 } });
    expect(await refusal(files().open("config.json"))).toContain("wanted the commit that main is");
    hub.site.behave();
    hub.site.misbehave("/resolve/", { headers: { "X-Repo-Commit": "0".repeat(40) } });
    expect(await refusal(files(`${id}@${first}`).open("config.json"))).toContain("wanted all files of the commit");
  });

  it("is not asked for without end where the API's answer has none", async () => {
    const endless = createServer((request, response) => {
      response.writeHead(200, { "Content-Type": "application/json" });
      if (!request.url?.startsWith("/api/")) return response.end("{}");
      const write = () => {
        while (response.write(" ".repeat(2 ** 16)));
      };
      response.on("drain", write);
      write();
    });
    await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
    const { port } = endless.address() as AddressInfo;
    let sent = 0;
    endless.on("connection", (socket) => socket.on("close", () => (sent += socket.bytesWritten)));
    try {
      const endpoint = `http://127.0.0.1:${port}`;
      expect(await refusal(files(id, { endpoint }).open("config.json"))).toContain("found an answer without");
      await vi.waitFor(() => expect(sent).toBeGreaterThan(0));
      expect(sent).toBeLessThan(8 * 2 ** 20);
    } finally {
      endless.closeAllConnections();
      await new Promise((resolve) => endless.close(resolve));
    }
  });

  it("is found at a branch, a tag and a pull request", async () => {
    for (const revision of ["v1.0", "refs/pr/7"]) {
      hub.publish(id, { "config.json": revision }, revision);
      expect(await text(await files(`${id}@${revision}`).open("config.json"))).toBe(revision);
      expect(await text(await files(id, { revision }).open("config.json"))).toBe(revision);
    }
  });

  it("sends its token to the endpoint only, and a URL elsewhere none", async () => {
    const model = files(id, { token: "secret" });
    await (await model.open("model.safetensors"))!.read(0, 200_000);
    const tokens = ({ requests }: Hub["site"]) => new Set(requests.map(({ headers }) => headers.authorization));
    expect(tokens(hub.site)).toEqual(new Set(["Bearer secret"]));
    expect(hub.cdn.requests.length).toBe(2);
    expect(tokens(hub.cdn)).toEqual(new Set([undefined]));

    hub.site.requests.length = 0;
    const options = { endpoint: hub.endpoint, token: "secret" };
    await networkFiles(new URL(`${hub.cdn.url}folder`), options)!.open("config.json");
    await networkFiles(new URL(`http://localhost:${hub.site.port}/org/model/resolve/main`), options)!.open(
      "config.json",
    );
    expect(tokens(hub.cdn)).toEqual(new Set([undefined]));
    expect(tokens(hub.site)).toEqual(new Set([undefined]));
    hub.site.requests.length = 0;
    const same = networkFiles(new URL(`${hub.endpoint}/org/model/resolve/main/`), options)!;
    expect(await text(await same.open("config.json"))).toBe("{1}");
    expect(tokens(hub.site)).toEqual(new Set(["Bearer secret"]));
  });

  it("says what is missing: the model, its revision, a licence or a token", async () => {
    hub.publish("org/gated", { "config.json": "{}" });
    hub.gate("org/gated", "mine");
    expect(await refusal(files("org/none").open("config.json"))).toContain("(RepoNotFound); check the model's id");
    expect(await refusal(files(`${id}@none`).open("config.json"))).toContain(
      "(RevisionNotFound); check the model's id and revision",
    );
    expect(await files().open("none.json")).toBeUndefined();
    for (const options of [{}, { token: "other" }]) {
      const told = await refusal(files("org/gated", options).open("config.json"));
      expect(told).toContain("(GatedRepo); accept the model's licence on its page and pass a token");
      expect(told).not.toContain("other");
    }
    expect(await text(await files("org/gated", { token: "mine" }).open("config.json"))).toBe("{}");
  });
});
