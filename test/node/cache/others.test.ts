import { execFile, execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../harness/cli.ts";
import { type Hub, serveHub } from "../../harness/hub.ts";
import { type Command, runtime } from "../../harness/runtimes.ts";
import { bundleChild, pattern } from "../../long/interrupt.ts";

// The cache as Node, Deno and Bun fill it, and as Python's huggingface_hub reads and fills it.

/** An interpreter that has huggingface_hub. */
const python = process.env.SIGLIP_PYTHON ?? "python3";

const contents: Record<string, Uint8Array> = {
  "config.json": Buffer.from("{}"),
  "spiece.model": pattern(300_000, 1),
  "model.safetensors": pattern(2 ** 21 + 5, 2),
};
const names = Object.keys(contents);
const folder = temporaryFolder();
const script = join(folder.path, "child.mjs");
const home = join(folder.path, "hf");
let hub: Hub;
let commit = "";
beforeAll(async () => {
  await bundleChild(script);
  hub = await serveHub();
  commit = hub.publish("google/tiny", contents);
});
afterAll(async () => {
  await hub?.[Symbol.asyncDispose]();
  folder.remove();
});
beforeEach(() => rmSync(home, { recursive: true, force: true }));

const snapshot = () => join(home, "hub/models--google--tiny/snapshots", commit);

async function run(binary: string, ...args: string[]): Promise<{ output: string; asked: number[] }> {
  const env = {
    ...process.env,
    HF_HOME: home,
    HF_HUB_CACHE: join(home, "hub"),
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_DISABLE_XET: "1",
  };
  hub.site.requests.length = hub.cdn.requests.length = 0;
  const { stdout } = await promisify(execFile)(binary, args, {
    env: { ...env, XDG_CACHE_HOME: join(folder.path, "own") },
  });
  return { output: stdout.trim(), asked: [hub.site, hub.cdn].map(({ requests }) => requests.length) };
}

function isThere(): void {
  expect(readdirSync(snapshot()).sort()).toEqual([...names].sort());
  for (const name of names) expect(readFileSync(join(snapshot(), name)).equals(contents[name])).toBe(true);
}

const child = ([binary, ...flags]: Command) => run(binary, ...flags, script, hub.endpoint, "google/tiny", ...names);

describe("a download", () => {
  for (const name of ["this Node", "Deno", "Bun"] as const) {
    it(`by ${name} is whole, and not repeated`, async (context) => {
      const command = await runtime(name, context);
      expect((await child(command)).output).toBe("started");
      isThere();
      expect(await child(command)).toEqual({ output: "started", asked: [1, 0] });
    });
  }

  it("by this package is one for Python, and the other way round", async (context) => {
    try {
      execFileSync(python, ["-c", "import huggingface_hub"], { stdio: "ignore" });
    } catch {
      return context.skip("no Python with huggingface_hub (SIGLIP_PYTHON)");
    }
    await child([process.execPath]);
    const scan = `
import json, huggingface_hub as hub
cache = hub.scan_cache_dir()
print(json.dumps([hub.snapshot_download("google/tiny", local_files_only=True), [str(one) for one in cache.warnings],
  [[repo.repo_id, [[one.commit_hash, sorted(one.refs), len(one.files)] for one in repo.revisions]] for repo in cache.repos]]))`;
    const { output, asked } = await run(python, "-c", scan);
    expect(JSON.parse(output)).toEqual([snapshot(), [], [["google/tiny", [[commit, ["main"], names.length]]]]]);
    expect(asked).toEqual([0, 0]);

    rmSync(home, { recursive: true });
    const fetch = `import huggingface_hub as hub\nfor name in ${JSON.stringify(names)}: hub.hf_hub_download("google/tiny", name)`;
    await run(python, "-c", fetch);
    isThere();
    expect(await child([process.execPath])).toEqual({ output: "started", asked: [1, 0] });
  });
});
