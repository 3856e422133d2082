import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { runtime } from "../../harness/runtimes.ts";

// Without VNNI the dot is of 16-bit sums, which saturate beyond seven bits; with it of nothing that saturates.
it("tells a processor whose dot takes seven bits from one whose takes eight", async (context) => {
  if (process.arch !== "x64") context.skip("the flag is of x64");
  const [node] = await runtime("a current Node", context);
  const path = fileURLToPath(new URL("../../../kernels/wasm/probe.ts", import.meta.url));
  const script = `import { probe } from ${JSON.stringify(path)}; console.log(JSON.stringify(probe()));`;
  const args = ["--no-enable-avx-vnni", "--import", "tsx", "--input-type=module", "--eval", script];
  const { stdout, stderr } = spawnSync(node, args, { encoding: "utf8" });
  expect([stderr, JSON.parse(stdout)]).toEqual(["", { madd: true, dot: true, dot8: false }]);
});
