import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, expect } from "vitest";
import { onGpu } from "../../harness/cases.ts";
import { temporaryFolder } from "../../harness/cli.ts";
import { runtime } from "../../harness/runtimes.ts";
import { GATE } from "../../judge/bounds.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = temporaryFolder();
afterAll(() => folder.remove());

// Deno and Firefox read WGSL with Naga, which takes less of it than Dawn does.
onGpu("every portable form that fits the adapter is right in Deno", { precision: "f32" }, async (_, context) => {
  const [deno, ...flags] = await runtime("Deno", context);
  const outfile = join(folder.path, "client.mjs");
  const entryPoints = [join(here, "naga-client.ts")];
  await build({ entryPoints, outfile, bundle: true, format: "esm", platform: "node" });
  const { stdout } = await promisify(execFile)(deno, [...flags, outfile]);
  const errors = JSON.parse(stdout) as Record<string, number | string>;
  expect(Object.keys(errors).length).toBeGreaterThanOrEqual(6 + 4);
  for (const [label, error] of Object.entries(errors)) expect(error, label).toBeLessThan(GATE.f32);
});
