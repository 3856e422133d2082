import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, expect } from "vitest";
import { onGpu } from "../../harness/cases.ts";
import { temporaryFolder } from "../../harness/cli.ts";
import { GATE } from "../../judge/bounds.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const deno = join(here, "../../package/node_modules/@deno/linux-x64-glibc/deno");
const folder = temporaryFolder();
afterAll(() => folder.remove());

// Deno and Firefox read WGSL with Naga, which takes less of it than Dawn does.
onGpu("every portable form that fits the adapter is right in Deno", { precision: "f32" }, async (_, context) => {
  if (!existsSync(deno)) return context.skip("the runtimes that package/package.test.ts installs are not there yet");
  const outfile = join(folder.path, "client.mjs");
  const entryPoints = [join(here, "naga-client.ts")];
  await build({ entryPoints, outfile, bundle: true, format: "esm", platform: "node" });
  const { stdout } = await promisify(execFile)(deno, ["run", "-A", outfile]);
  const errors = JSON.parse(stdout) as Record<string, number | string>;
  expect(Object.keys(errors).length).toBeGreaterThanOrEqual(6 + 4);
  for (const [label, error] of Object.entries(errors)) expect(error, label).toBeLessThan(GATE.f32);
});
