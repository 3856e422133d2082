import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryFolder } from "../../harness/cli.ts";
import { RUNTIMES, runtime } from "../../harness/runtimes.ts";
import { toyModules } from "./toys.ts";
import { DEATHS, type Trial } from "./trial.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

const folder = temporaryFolder();
const toys = join(folder.path, "toys.json");
/** One file with everything, as it is and with short names. */
const scripts = { plain: join(folder.path, "plain.mjs"), minified: join(folder.path, "minified.mjs") };
beforeAll(async () => {
  writeFileSync(toys, JSON.stringify(await toyModules()));
  for (const [name, outfile] of Object.entries(scripts)) {
    const entryPoints = [join(here, "trial-node.ts")];
    const minify = name === "minified";
    await build({ entryPoints, outfile, bundle: true, platform: "node", format: "esm", minify });
  }
});
afterAll(() => folder.remove());

for (const name of RUNTIMES) {
  it(`${name} has threads that compute the same, stop, fail and end`, { retry: 2 }, async (context) => {
    const [binary, ...flags] = await runtime(name, context);
    const script = name === "this Node" ? scripts.plain : scripts.minified;
    const { stdout } = await promisify(execFile)(binary, [...flags, script, toys], { timeout: 120_000 });
    const trials: Trial[] = JSON.parse(stdout);
    for (const { threads, latency, abort, gap } of trials) {
      console.log(
        `${name}, ${threads} threads: empty run ${latency.toFixed(0)} µs, abort ${abort.toFixed(0)} ms, gap ${gap.toFixed(0)} ms`,
      );
    }
    expect(trials.map(({ threads, alone }) => [threads, alone])).toEqual([1, 2, 4].map((n) => [n, undefined]));
    expect(new Set(trials.map(({ sum }) => sum)).size).toBe(1);
    for (const { threads, again, codes, abort, deaths } of trials) {
      expect(deaths).toEqual(threads === 2 ? DEATHS : []);
      expect([again, codes]).toEqual([true, ["device-lost", "disposed"]]);
      // Some milliseconds where the machine is idle; the list by itself takes ten seconds.
      expect(abort).toBeLessThan(2000);
    }
  });
}
