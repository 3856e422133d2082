import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseConfig, parseJson } from "../../../src/model/config.ts";
import { NO_TERMINAL, onTerminal, siglip, words } from "../../harness/cli.ts";
import { type Hub, serveHub } from "../../harness/hub.ts";
import { bytesServed } from "../../harness/server.ts";
import { syntheticSource } from "../../judge/synthetic.ts";
import { jsonOf } from "../../tokenizer/tokenizer-json.ts";

const ID = "google/demo";
const NAMES = ["config.json", "preprocessor_config.json", "model.safetensors", "spiece.model"];
const demo = (name: string) => readFileSync(new URL(`../../../weights/demo/${name}`, import.meta.url));

let hub: Hub;
let home = "";
let commit = "";
beforeAll(async () => {
  hub = await serveHub();
  commit = hub.publish(ID, Object.fromEntries(NAMES.map((name) => [name, demo(name)])));
  hub.publish("google/json", {
    ...Object.fromEntries(NAMES.filter((name) => name !== "spiece.model").map((name) => [name, demo(name)])),
    "tokenizer.json": Buffer.from(JSON.stringify(jsonOf(new Uint8Array(demo("spiece.model"))))),
    "tokenizer_config.json": Buffer.from("{}"),
  });
  const config = readFileSync(new URL("../../golden/so400m-384/config.json", import.meta.url));
  hub.publish("google/so400m", {
    "config.json": config,
    "model.safetensors": syntheticSource(parseConfig(parseJson(config, "config.json"))),
  });
});
afterAll(() => hub[Symbol.asyncDispose]());
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "siglip-download-"));
  for (const server of [hub.site, hub.cdn]) {
    server.behave();
    server.requests.length = 0;
  }
  return () => rmSync(home, { recursive: true });
});

const env = (more: Record<string, string> = {}) => ({
  HF_ENDPOINT: hub.endpoint,
  HF_HOME: join(home, "hf"),
  XDG_CACHE_HOME: join(home, "cache"),
  HF_HUB_CACHE: "",
  HF_HUB_OFFLINE: "",
  ...more,
});
const run = (args: string[], more?: Record<string, string>) => siglip(args, { env: env(more) });

describe("siglip download", () => {
  it("brings tokenizer.json where the model has no other, and texts need no network then", async () => {
    const { code, stdout } = await run(["download", "google/json", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).files.map(({ name }: { name: string }) => name)).toEqual([
      ...NAMES.slice(0, 3),
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const embed = ["embed", "--text", "2 cats", "--out", join(home, "out.jsonl"), "--model", "google/json"];
    expect(await run(embed, { HF_HUB_OFFLINE: "1" })).toMatchObject({ code: 0, stderr: "" });
  });

  it("brings a model to this machine once, verified, and says where it is", async () => {
    const first = await run(["download", ID, "--json"]);
    expect([first.code, first.stderr]).toEqual([0, ""]);
    // Hugging Face's cache is for what comes from its own Hub.
    const own = join(home, "cache/siglip/hubs", encodeURIComponent(hub.endpoint));
    const folder = join(own, "models--google--demo/snapshots", commit);
    expect(JSON.parse(first.stdout)).toEqual({
      model: ID,
      version: commit,
      files: NAMES.map((name) => ({ name, size: demo(name).length, path: join(folder, name) })),
    });
    for (const name of NAMES) expect(readFileSync(join(folder, name)).equals(demo(name))).toBe(true);
    hub.cdn.requests.length = 0;
    const again = await run(["download", `${ID}@main`]);
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/^google\/demo: 4 files, 5\.\d+ MB, whole and verified in \d.* s\.\n/);
    expect(hub.cdn.requests).toEqual([]);
    const embed = [
      "embed",
      "--text",
      "2 cats",
      "--backend",
      "cpu",
      "--out",
      join(home, "out.jsonl"),
      "--json",
      "--model",
      ID,
    ];
    const offline = await Promise.all(
      [["info", ID, "--json"], embed].map((args) => run(args, { HF_HUB_OFFLINE: "1" })),
    );
    expect(offline.map(({ stderr }) => stderr)).toEqual(["", ""]);
    expect(JSON.parse(offline[0].stdout).weights.total.parameters).toBe(2471546);
    expect(JSON.parse(offline[1].stdout)).toMatchObject({ model: ID, texts: 1, dim: 144 });
  });

  it("draws a bar with the rate and the time that is left", async (context) => {
    if (NO_TERMINAL) return context.skip(NO_TERMINAL);
    hub.cdn.misbehave("", { slow: 30 });
    const set = Object.entries(env()).map(([name, value]) => `${name}='${value}'`);
    const { code, stdout } = await onTerminal(`env ${set.join(" ")} ${words(["download", ID])}`);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /model\.safetensors {2}[█▏▎▍▌▋▊▉░]+ {2}[\d.]+ MB of [\d.]+ MB {2}[\d.]+ [kM]B\/s {2}[\d.]+ s left/,
    );
    // The bar is gone from the line when the sentence comes.
    expect(stdout).toMatch(/\[2?K[^█░]*google\/demo: 4 files/);
  });

  it("refuses in one sentence what is no model on a server, or is not for everybody", async () => {
    hub.publish("google/private", { "config.json": "{}" });
    hub.gate("google/private", "secret");
    const cases: [string[], RegExp][] = [
      [["demo"], /^siglip: demo: wanted a model on the Hub or at a URL, found one on this machine; just use it\.\n$/],
      [["google/none"], /found HTTP status 401 \(RepoNotFound\); check the model's id/],
      [["google/private"], /found HTTP status 401 \(GatedRepo\); accept the model's licence/],
      [[ID, "--revision", "v9"], /RevisionNotFound/],
    ];
    const ends = await Promise.all(cases.map(([args]) => run(["download", ...args])));
    for (const [index, [, why]] of cases.entries()) {
      const { code, stdout, stderr } = ends[index];
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(why);
      expect(stderr).toMatch(/^siglip: [^\n]+\.\n$/);
    }
    const { stderr } = await run(["download", "google/private", "--token", "secret"]);
    expect(stderr).toMatch(/config\.json: wanted/);
  });
});

describe("siglip cache", () => {
  it("lists what is kept, and deletes it", async () => {
    expect((await run(["cache", "list"])).stdout).toBe("Nothing is kept.\n");
    expect((await run(["download", ID])).code).toBe(0);
    const [table, json] = await Promise.all([run(["cache", "list"]), run(["cache", "list", "--json"])]);
    expect(table.stdout).toMatch(/^5\.\d+ MB {2}google\/demo\n$/);
    const [kept, ...others] = JSON.parse(json.stdout);
    expect(others).toEqual([]);
    expect(kept).toMatchObject({ model: ID, complete: true });
    const ends = await Promise.all([
      run(["cache", "rm", "google/none"]),
      run(["cache", "rm"]),
      run(["cache", "rm", ID, "--all"]),
    ]);
    expect(ends.map(({ code }) => code)).toEqual([1, 2, 2]);
    expect(ends[0].stderr).toMatch(/google\/none: wanted a model that is kept, found none of that name; see siglip/);
    expect((await run(["cache", "rm", ID])).stdout).toMatch(/^Deleted google\/demo, 5\.\d+ MB\.\n$/);
    expect(JSON.parse((await run(["cache", "list", "--json"])).stdout)).toEqual([]);
    expect((await run(["cache", "rm", "--all"])).stdout).toBe("Nothing was kept.\n");
  });
});

describe("--no-cache", () => {
  it("leaves nothing on this machine", async () => {
    const out = join(home, "out.jsonl");
    const ends = await Promise.all([
      run(["embed", "--text", "a", "--backend", "cpu", "--out", out, "--model", ID, "--no-cache"]),
      run(["info", ID, "--no-cache"]),
    ]);
    expect(ends.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ""],
      [0, ""],
    ]);
    expect(readdirSync(home)).toEqual(["out.jsonl"]);
  });
});

describe("siglip info", () => {
  it("describes a model of 3.5 GB on the Hub by 132 kB of it", async () => {
    const { code, stdout, stderr } = await run(["info", "google/so400m", "--json"]);
    expect([code, stderr]).toEqual([0, ""]);
    const info = JSON.parse(stdout);
    expect(info.weights.total.parameters).toBe(877960498);
    const served = bytesServed(hub.cdn) + bytesServed(hub.site);
    console.log(
      `so400m described by ${served} bytes in ${hub.cdn.requests.length + hub.site.requests.length} requests`,
    );
    // The header has 108,640 bytes, which are two blocks of 64 KiB.
    expect(served).toBeLessThan(2 ** 17 + 2000);
    expect(info).not.toHaveProperty("tokenizer");
  });
});
