import { defineConfig } from "vitest/config";
import { embedKernels } from "./kernels/generate.ts";
import { embedDecoders } from "./src/node/images/generate.ts";
import { adapterEnvironment } from "./test/harness/adapter.ts";
import { TallyReporter } from "./test/harness/tally.ts";
import { embedDemo } from "./weights/embed.ts";

// Suites that take long, or want the real size or the real checkpoint, run only when asked for: `vitest --mode full`, or
// SIGLIP_FULL=1; tests read the variable.
const asked = ["long", "full", "published"] as const;

export default defineConfig(({ mode }) => {
  // Not in git, and stale where what they hold has changed since they were last written.
  embedDemo();
  embedKernels();
  embedDecoders();
  const suites = asked.filter((name) => mode === name || process.env[`SIGLIP_${name.toUpperCase()}`] === "1");
  const alone = suites.filter((name) => name !== "long").map((name) => `test/long/${name}.test.ts`);
  const everything = ["test/**/*.test.ts", ...(suites.includes("long") ? ["test/**/*.long.ts"] : [])];
  return {
    test: {
      include: alone.length > 0 ? alone : everything,
      exclude: alone.length > 0 ? [] : ["test/long/full.test.ts", "test/long/published.test.ts"],
      // Workers are processes that start with this environment, the only way to bring a Vulkan driver along.
      pool: "forks",
      maxWorkers: 2,
      env: {
        ...adapterEnvironment(),
        ...Object.fromEntries(suites.map((name) => [`SIGLIP_${name.toUpperCase()}`, "1"])),
      },
      // Software adapters are slow; a hang still ends.
      testTimeout: suites.length > 0 ? 3_600_000 : 300_000,
      hookTimeout: 120_000,
      // The tally first, so that the output ends with the runner's own summary.
      reporters: [new TallyReporter(), "default"],
    },
  };
});
