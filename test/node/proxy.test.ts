import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { findFiles } from "../../src/node/find.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { proxyFor } from "../../src/node/proxy.ts";
import { serveFiles } from "../harness/server.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

const VARIABLES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].flatMap((name) => [name, name.toUpperCase()]);

describe("the proxy for a URL", () => {
  const at = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env);

  it("is that of its scheme, else the one for all", () => {
    const env = { HTTPS_PROXY: "http://secure:1", HTTP_PROXY: "plain:2" };
    expect(at("https://huggingface.co/x", env)).toBe("http://secure:1");
    expect(at("http://huggingface.co/x", env)).toBe("http://plain:2");
    expect(at("https://x", { https_proxy: "http://small", HTTPS_PROXY: "http://large" })).toBe("http://small");
    expect(at("https://x", { ALL_PROXY: "http://all" })).toBe("http://all");
    expect(at("https://x", { HTTP_PROXY: "http://plain" })).toBeUndefined();
    expect(at("https://x", { HTTPS_PROXY: "" })).toBeUndefined();
    expect(at("http://x", { HTTP_PROXY: "http://evil", REQUEST_METHOD: "GET" })).toBeUndefined();
    expect(at("data:,x", { ALL_PROXY: "http://all" })).toBeUndefined();
    expect(() => at("https://x", { ALL_PROXY: "socks5://me:secret@host" })).toThrow(
      /^HTTPS_PROXY: .*"socks5:\/\/…@host"/,
    );
  });

  it("is none for hosts that NO_PROXY names", () => {
    const direct = (url: string, no_proxy: string) => at(url, { ALL_PROXY: "http://all", no_proxy }) === undefined;
    for (const [url, list] of [
      ["https://example.com", "example.com"],
      ["https://cdn.example.com", "example.com"],
      ["https://cdn.example.com", "other, .example.com"],
      ["https://EXAMPLE.com", "*.Example.com"],
      ["https://example.com", "*"],
      ["https://example.com:8443", "example.com:8443"],
      ["https://example.com", "example.com:443"],
      ["http://10.1.2.3", "10.0.0.0/8"],
      ["http://[::1]", "::1"],
      ["http://127.0.0.1:80", "localhost,127.0.0.1"],
    ]) {
      expect(direct(url, list), `${url} ${list}`).toBe(true);
    }
    for (const [url, list] of [
      ["https://notexample.com", "example.com"],
      ["https://example.com.org", "example.com"],
      ["https://example.com:8443", "example.com:443"],
      ["http://11.1.2.3", "10.0.0.0/8"],
      ["http://1.127.0.0.1.org", "127.0.0.1"],
      ["https://example.com", " , "],
    ]) {
      expect(direct(url, list), `${url} ${list}`).toBe(false);
    }
  });
});

describe("a proxy of the environment", () => {
  it("is asked for models and pictures, and not for what NO_PROXY names", async () => {
    await using server = await serveFiles({ "m/config.json": "{}" });
    const asked: string[] = [];
    // As it comes for http, by the whole address; and as a tunnel, which https would take.
    const proxy = createServer((request, response) => {
      asked.push(request.url!);
      response.setHeader("Content-Type", "application/json").end("{}");
    });
    proxy.on("connect", (request, socket) => {
      asked.push(`CONNECT ${request.url}`);
      const through = connect(server.port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        socket.pipe(through).pipe(socket);
      });
      through.on("error", () => socket.destroy());
      socket.on("error", () => through.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      proxy.closeAllConnections();
      proxy.close();
    });
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    for (const name of VARIABLES) vi.stubEnv(name, "");
    vi.stubEnv("HTTP_PROXY", address);
    vi.stubEnv("HTTPS_PROXY", address);
    vi.stubEnv("NO_PROXY", "127.0.0.1");
    const open = async (url: string) => {
      const files = await findFiles(url, { cache: false });
      try {
        return (await files.open("config.json"))?.size;
      } finally {
        await files.close();
      }
    };
    expect(await open("http://model.invalid/m/")).toBe(2);
    expect(asked.splice(0)).toEqual(["http://model.invalid/m/config.json"]);
    await expect(nodePlatform.decode("http://model.invalid/a.png")).rejects.toThrow();
    expect(asked.splice(0)).toEqual(["http://model.invalid/a.png"]);
    await expect(nodePlatform.decode("https://model.invalid/a.png")).rejects.toMatchObject({ code: "network" });
    expect(asked.splice(0)).toEqual(["CONNECT model.invalid:443"]);
    expect(await open(`${server.url}m/`)).toBe(2);
    expect(asked).toEqual([]);
  });
});
