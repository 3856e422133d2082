// Every runtime has turns for timers and sockets while it embeds. test/browser/turns.more.ts shows the same of pages.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryFolder } from "../harness/cli.ts";
import { runtime } from "../harness/runtimes.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const folder = temporaryFolder();
const script = join(folder.path, "turns-node.mjs");
beforeAll(async () => {
  // Packages in CommonJS ask for `require`.
  const js = 'import { createRequire as make } from "node:module"; const require = make(import.meta.url);';
  const options = { bundle: true, platform: "node", format: "esm", banner: { js } } as const;
  await build({ ...options, external: ["webgpu"], entryPoints: [here("turns-node.ts")], outfile: script });
});
afterAll(() => folder.remove());

// Node 20 does not know what one thread computed.
for (const name of ["a current Node", "Deno", "Bun"] as const) {
  it(`${name} has a turn every 50 ms while twenty pictures are embedded`, { retry: 2 }, async (context) => {
    const [binary, ...flags] = await runtime(name, context);
    const args = [...flags, script, here("../../weights/demo")];
    const { stdout } = await promisify(execFile)(binary, args, { timeout: 120_000 });
    const { own, wall, turns, shape, threads } = JSON.parse(stdout);
    console.log(
      `${name}, ${threads}: ${turns} turns, ${own.toFixed(0)} ms at most; ${wall.toFixed(0)} ms on the clock`,
    );
    expect(shape[0]).toBe(20);
    expect(turns).toBeGreaterThan(2);
    // On a machine that is busy, or has no more cores than threads, the clock also counts how long others were at work.
    expect(own).toBeLessThan(50);
  });
}
