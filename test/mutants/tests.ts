import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execute } from "../package/project.ts";

/** One case that a run picked. */
export interface Case {
  /** With the names of what it stands in. */
  readonly name: string;
  readonly status: "passed" | "failed" | "skipped";
  /** Why it failed. */
  readonly message: string;
}

/** What a run of a test file found. */
export interface Result {
  readonly cases: readonly Case[];
  /** Why the file did not load. */
  readonly broken: string | undefined;
}

/** Vitest's JSON report, as far as it is read here. */
interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { fullName: string; status: string; failureMessages: readonly string[] }[];
  }[];
}

/** How long a case may take, in milliseconds: a fault that makes a test hang is not told by it. */
const PATIENCE = 120_000;

/** Runs the cases of a file whose names match `pattern`, in the tree at `folder`. */
export async function runTests(folder: string, file: string, pattern: string): Promise<Result> {
  const output = join(folder, "report.json");
  const options = ["--reporter=json", `--outputFile=${output}`, `--testTimeout=${PATIENCE}`, "--maxWorkers=1"];
  const vitest = join(folder, "node_modules", "vitest", "vitest.mjs");
  rmSync(output, { force: true });
  // It exits with 1 where a test fails, which is what is hoped for.
  await execute(process.execPath, [vitest, "run", file, "-t", pattern, ...options], { cwd: folder }).catch(() => {});
  const { testResults }: Report = JSON.parse(readFileSync(output, "utf8"));
  const cases = testResults.flatMap(({ assertionResults }) =>
    assertionResults
      // Those that the pattern leaves out come as pending.
      .filter(({ fullName }) => new RegExp(pattern).test(fullName))
      .map(({ fullName, status, failureMessages }) => ({
        name: fullName,
        status: (status === "passed" || status === "failed" ? status : "skipped") as Case["status"],
        message: failureMessages.join("\n"),
      })),
  );
  const broken = testResults.find(({ message, assertionResults }) => message !== "" && assertionResults.length === 0);
  return { cases, broken: broken?.message };
}
