import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { runtime } from "../../harness/runtimes.ts";
import { execute } from "../../package/project.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

interface Report {
  readonly numFailedTests: number;
  readonly testResults: readonly { readonly assertionResults: readonly { readonly fullName: string }[] }[];
}

// Node 20, in which all tests have to pass, has no relaxed instructions: there the same tests say nothing of them.
it("kernels are right in a current Node, too, with all of its instructions", async (context) => {
  const [node] = await runtime("a current Node", context);
  const config = fileURLToPath(new URL("current-node.config.ts", import.meta.url));
  const args = ["node_modules/vitest/vitest.mjs", "run", "--config", config, "--reporter", "json"];
  const report: Report = JSON.parse(await execute(node, args, { cwd: root }));
  const names = report.testResults.flatMap(({ assertionResults }) => assertionResults.map(({ fullName }) => fullName));
  const relaxed = names.filter((name) => name.includes("relaxed, dot"));
  console.log(`kernels in a current Node: ${names.length} tests, ${relaxed.length} of them of relaxed instructions`);
  expect(report.numFailedTests).toBe(0);
  expect(relaxed.filter((name) => name.includes("as integers")).length).toBeGreaterThan(5);
});
