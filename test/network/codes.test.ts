import { expect, it, onTestFinished } from "vitest";
import { parseIndex } from "../../src/checkpoint/checkpoint.ts";
import { readHeader } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { readConfig } from "../../src/files/read-model.ts";
import { parseHubModel } from "../../src/network/hub.ts";
import { networkFiles } from "../../src/network/network-files.ts";
import { filePath, fileSource } from "../../src/node/file.ts";
import { folderFiles } from "../../src/node/folder.ts";
import type { ErrorCode } from "../../src/support/error.ts";
import { serveHub } from "../harness/hub.ts";

it("errors say by a code whether to skip, retry or stop", async () => {
  const hub = await serveHub();
  onTestFinished(() => hub[Symbol.asyncDispose]());
  hub.publish("org/model", { "config.json": "{}" });
  const open = (name: string) => networkFiles(name, { endpoint: hub.endpoint })!.open("config.json");
  const empty = { name: "none", open: async () => undefined, close: async () => {} };
  const cases: [ErrorCode, () => unknown][] = [
    ["not-found", () => open("org/none")],
    ["not-found", () => open("org/model@none")],
    ["bad-input", () => parseHubModel("a/b@..")],
    ["bad-input", () => parseHubModel("a/b@\ud800")],
    ["bad-input", () => filePath(new URL("file://elsewhere/x"))],
    ["bad-input", () => fileSource("/")],
    ["not-found", () => fileSource("/none")],
    ["not-found", () => folderFiles("/none")],
    ["not-found", () => readConfig(empty)],
    ["bad-checkpoint", () => parseIndex("{}")],
    ["bad-checkpoint", () => readHeader(bytesSource(new Uint8Array(4)))],
  ];
  for (const [code, act] of cases) {
    await expect((async () => act())(), String(act)).rejects.toMatchObject({ name: "SiglipError", code });
  }
  hub.site.misbehave("", { entry: { content: "no", status: 403 } });
  await expect(open("org/model")).rejects.toMatchObject({ code: "network" });
});
