import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect } from "vitest";
import { Journals } from "../../src/bulk/journal.ts";
import { embedInto } from "../../src/bulk/run.ts";
import { ENTRIES, embedding, generation, job } from "./fake.ts";

/** The process that embeds, as one file. */
export async function bundle(outfile: string): Promise<void> {
  const entryPoints = [fileURLToPath(new URL("interrupt-child.ts", import.meta.url))];
  await build({ entryPoints, outfile, bundle: true, platform: "node", format: "esm", logLevel: "error" });
}

/** The records in the journals beside a file, each of which is what it should be. */
async function journalled(path: string): Promise<Set<string>> {
  const found = new Map<string, number>();
  const { header } = job(path, []);
  const journals = await Journals.open(`${path}.part`, header, (key, place) => found.set(key, place));
  for (const [key, place] of found) {
    const [, name, stamp] = JSON.parse(key);
    const record = await journals.read(place);
    expect(record.key).toBe(key);
    expect(new Float32Array(Uint8Array.from(record.values).buffer)).toEqual(embedding(name + stamp));
  }
  await journals.close();
  return new Set(found.keys());
}

/**
 * Embeds one source after another into one file, kills it at a random moment, looks at what is there, and starts it
 * again, until it was killed so many times. With `after`, it is killed within so many milliseconds after its first batch.
 */
export async function interrupt(times: number, ending = "jsonl", after?: number) {
  const folder = mkdtempSync(join(tmpdir(), "siglip-embed-"));
  try {
    const [script, path, log] = [join(folder, "child.mjs"), join(folder, `out.${ending}`), join(folder, "log")];
    await bundle(script);
    let [killed, finished, number, kills, duration, journals] = [0, 0, 0, 0, 300, 0];
    let before: Uint8Array | undefined;
    let kept = new Set<string>();
    writeFileSync(log, "");
    while (killed < times) {
      const began = performance.now();
      const child = spawn(process.execPath, [script, path, `${number}`, log]);
      let output = "";
      child.stderr.on("data", (text) => (output += text));
      const kill = (most: number) => setTimeout(() => child.kill("SIGKILL"), most * Math.random());
      let timer = after === undefined ? kill(duration * 1.1) : undefined;
      child.stdout.once("data", () => (timer ??= kill(after!)));
      const code = await new Promise((resolve) => child.on("close", resolve));
      clearTimeout(timer);
      expect(output).toBe("");
      const whole = join(folder, `whole-${number}.${ending}`);
      if (!existsSync(whole)) await embedInto(job(whole, generation(number)));
      const expected = readFileSync(whole);
      const found = existsSync(path) ? readFileSync(path) : undefined;
      // The file is the old one or the new one, at every moment.
      const done = found?.equals(expected) ?? false;
      if (!done) expect(found).toEqual(before);
      const now = await journalled(path);
      if (existsSync(`${path}.part`)) journals = Math.max(journals, readdirSync(`${path}.part`).length);
      // Nothing that was made is lost, unless all is in place.
      if (!done) for (const key of kept) expect(now).toContain(key);
      kept = done ? new Set() : now;
      if (code === null) {
        killed++;
        kills++;
        continue;
      }
      expect([code, done]).toEqual([expect.toSatisfy((one) => one === 0 || one === 3), true]);
      expect(readdirSync(folder).filter((name) => name.includes(".part") || name.startsWith("."))).toEqual([]);
      // Nothing is embedded twice but what was in a tower when it was killed: two batches of each kind at most.
      const made = readFileSync(log, "utf8").trim().split("\n").map(Number);
      expect(made.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(ENTRIES + kills * 32);
      duration = Math.max(100, kills === 0 ? performance.now() - began : duration);
      writeFileSync(log, "");
      finished++;
      kills = 0;
      number++;
      before = expected;
    }
    return { killed, finished, journals };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
