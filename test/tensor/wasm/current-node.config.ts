import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** What kernels.more.ts runs in a current Node: tests that ask the engine which instructions it has. */
export default defineConfig({
  root: fileURLToPath(new URL("../../..", import.meta.url)),
  test: {
    include: ["test/tensor/wasm/kernels*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
  },
});
