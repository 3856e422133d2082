import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect } from "vitest";
import { serveHub } from "../harness/hub.ts";
import { digest } from "../harness/server.ts";

const ID = "google/tiny";

/** Deterministic bytes that no block of another file equals. */
export function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, x = seed; at + 4 <= length; at += 4) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(x, at);
  }
  return bytes;
}

/** The process that downloads, as one file for any runtime. */
export async function bundleChild(outfile: string): Promise<void> {
  const entryPoints = [fileURLToPath(new URL("interrupt-child.ts", import.meta.url))];
  await build({ entryPoints, outfile, bundle: true, platform: "node", format: "esm", logLevel: "error" });
}

/** One model on a Hub of this machine, a cache of its own, and processes that download it. */
export async function downloads() {
  const folder = mkdtempSync(join(tmpdir(), "siglip-interrupt-"));
  const script = join(folder, "child.mjs");
  await bundleChild(script);
  const hub = await serveHub();
  const contents: Record<string, Uint8Array> = {
    "config.json": pattern(700, 1),
    "spiece.model": pattern(300_000, 2),
    "model-1.safetensors": pattern(2 ** 21 + 17, 3),
    // More than is fetched whole when it is opened.
    "model-2.safetensors": pattern(17 * 2 ** 20, 4),
  };
  const commit = hub.publish(ID, contents);
  // A millisecond or more for each 64 KiB, so that there is a time to be killed in.
  for (const server of [hub.site, hub.cdn]) server.misbehave("", { slow: 1 });
  const home = join(folder, "home");
  const repository = join(home, "hf/hub/models--google--tiny");
  const parts = join(home, "cache/siglip/hubs", encodeURIComponent(hub.endpoint), "google--tiny/parts");

  const start = (): { child: ChildProcess; ended: Promise<{ code: number | null; output: string }> } => {
    const env = { ...process.env, HF_HOME: join(home, "hf"), HF_HUB_CACHE: "", XDG_CACHE_HOME: join(home, "cache") };
    const child = spawn(process.execPath, [script, hub.endpoint, ID, ...Object.keys(contents)], { env });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
    return {
      child,
      ended: new Promise((resolve) =>
        child.on("close", (code) => resolve({ code, output: output.replace("started\n", "") })),
      ),
    };
  };

  return {
    start,
    /** Forgets all that was downloaded. */
    wipe: () => rmSync(home, { recursive: true, force: true }),
    /** Whatever has a final name is whole; says which files have one. */
    check(): string[] {
      for (const oid of list(join(repository, "blobs"))) {
        const bytes = readFileSync(join(repository, "blobs", oid));
        const found = oid.length === 64 ? digest("sha256", bytes) : digest("sha1", `blob ${bytes.length}\0`, bytes);
        expect(found).toBe(oid);
      }
      const names = list(join(repository, "snapshots", commit));
      for (const name of names) {
        const bytes = readFileSync(join(repository, "snapshots", commit, name));
        expect([name, bytes.equals(contents[name])]).toEqual([name, true]);
      }
      const ref = join(repository, "refs/main");
      expect(list(dirname(ref)).filter((name) => name !== "main")).toEqual([]);
      if (existsSync(ref)) expect([readFileSync(ref, "utf8"), names.length > 0]).toEqual([commit, true]);
      return names;
    },
    /** How many contents are whole. */
    blobs: () => list(join(repository, "blobs")).length,
    /** Blocks that are there of those which are not; a journal may outlive its file for a moment. */
    blocks(): number {
      const journals = list(parts).filter(
        (name) => name.endsWith(".journal") && existsSync(join(parts, name.slice(0, -".journal".length))),
      );
      return journals.reduce(
        (sum, name) => sum + new Set(readFileSync(join(parts, name), "latin1").match(/^\d+(?= )/gm)).size,
        0,
      );
    },
    names: Object.keys(contents).sort(),
    /** Partial files, and copies that were not finished; a ref's 40 bytes may be left where a process was killed, for an hour. */
    leftovers: () => [
      ...list(parts),
      ...list(repository).filter((name) => name.startsWith(".siglip") && statSync(join(repository, name)).size > 40),
    ],
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/**
 * Starts a download, kills it at a random moment, looks at what is there, and starts it again, until it was killed so many times. What is
 * whole is thrown away for the next to begin anew.
 */
export async function interrupt(times: number): Promise<{ killed: number; finished: number }> {
  await using model = await downloads();
  const began = performance.now();
  expect(await model.start().ended).toEqual({ code: 0, output: "" });
  const duration = performance.now() - began;
  let [killed, finished, blocks, whole] = [0, 0, 0, 0];
  model.wipe();
  while (killed < times) {
    const { child, ended } = model.start();
    const timer = setTimeout(() => child.kill("SIGKILL"), duration * 1.1 * Math.random());
    const { code, output } = await ended;
    clearTimeout(timer);
    expect(output).toBe("");
    const names = model.check();
    // Nothing that was there is gone.
    expect(model.blobs()).toBeGreaterThanOrEqual(whole);
    if (model.blobs() === whole) expect(model.blocks()).toBeGreaterThanOrEqual(blocks);
    [blocks, whole] = [model.blocks(), model.blobs()];
    if (code === null) {
      killed++;
      continue;
    }
    expect(code).toBe(0);
    expect(names).toEqual(model.names);
    expect(model.leftovers()).toEqual([]);
    finished++;
    model.wipe();
    [blocks, whole] = [0, 0];
  }
  return { killed, finished };
}
