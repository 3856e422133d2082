import { defineConfig } from "vitest/config";
import { embedKernels } from "./kernels/generate.ts";
import { embedDecoders } from "./src/node/images/generate.ts";
import { adapterEnvironment } from "./test/harness/adapter.ts";
import { bundleCli } from "./test/harness/bundle-cli.ts";
import { SlowFirst } from "./test/harness/sequencer.ts";
import { TallyReporter } from "./test/harness/tally.ts";
import { embedDemo } from "./weights/embed.ts";

const QUICK = "test/**/*.test.ts";
const MORE = "test/**/*.more.ts";

// Suites that are asked for by `vitest --mode long`, or SIGLIP_LONG=1, and the files of each: `more` is what continuous
// integration runs beside the quick tests, `long` is both and what takes hours, the others want the real size or real checkpoints.
const SUITES: Readonly<Record<string, readonly string[]>> = {
  more: [MORE],
  scale: ["test/scale/*.scale.ts"],
  long: [QUICK, MORE, "test/**/*.long.ts"],
  full: ["test/long/full.real.ts"],
  published: ["test/long/published.real.ts"],
};

export default defineConfig(({ mode }) => {
  // Not in git, and stale where what they hold has changed since they were last written.
  embedDemo();
  embedKernels();
  embedDecoders();
  bundleCli();
  const variable = (name: string) => `SIGLIP_${name.toUpperCase()}`;
  const asked = Object.keys(SUITES).filter((name) => mode === name || process.env[variable(name)] === "1");
  return {
    test: {
      include: asked.length > 0 ? asked.flatMap((name) => SUITES[name]) : [QUICK],
      globalSetup: "test/harness/setup.ts",
      // Workers are processes that start with this environment, the only way to bring a Vulkan driver along.
      pool: "forks",
      maxWorkers: 2,
      // A worker's files share their modules and thus a GPU device, with all that was compiled on it.
      isolate: false,
      sequence: { sequencer: SlowFirst },
      // Tests read which suite was asked for.
      env: { ...adapterEnvironment(), ...Object.fromEntries(asked.map((name) => [variable(name), "1"])) },
      // Software adapters are slow; a hang still ends.
      testTimeout: asked.length > 0 ? 3_600_000 : 300_000,
      hookTimeout: 120_000,
      // The tally first, so that the output ends with the runner's own summary.
      reporters: [new TallyReporter(), "default"],
    },
  };
});
