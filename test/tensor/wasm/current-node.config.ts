import { defineConfig } from "vitest/config";

/** What kernels.more.ts runs in a current Node: tests that ask the engine which instructions it has. */
export default defineConfig({
  root: new URL("../../..", import.meta.url).pathname,
  test: {
    include: ["test/tensor/wasm/kernels*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
  },
});
