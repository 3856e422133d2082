import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";

interface Row {
  backend: string;
  precision: string;
  passed: number;
  failed: number;
  skipped: number;
}

/** A vitest reporter that says, for every backend and precision, how many cases ran, how many were skipped, and why. */
export class TallyReporter implements Reporter {
  private vitest!: Vitest;

  onInit(vitest: Vitest): void {
    this.vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    this.vitest.logger.log(`\n${tally(modules.flatMap((module) => [...module.children.allTests()]))}`);
  }
}

function tally(tests: readonly TestCase[]): string {
  const rows = new Map<string, Row>();
  const skips = new Map<string, number>();
  const adapters = new Set<string>();
  for (const test of tests) {
    const { backend, precision, adapter } = test.meta().siglip ?? { backend: "other", precision: "" };
    const kind = `${backend} ${precision}`.trim();
    const row = rows.get(kind) ?? { backend, precision, passed: 0, failed: 0, skipped: 0 };
    rows.set(kind, row);
    if (adapter) adapters.add(adapter);
    const result = test.result();
    if (result.state === "pending") continue;
    row[result.state]++;
    if (result.state === "skipped") {
      const reason = `${kind}: ${result.note ?? "no reason given (filtered out?)"}`;
      skips.set(reason, (skips.get(reason) ?? 0) + 1);
    }
  }
  const table = [...rows.values()]
    .sort((a, b) => `${a.backend} ${a.precision}`.localeCompare(`${b.backend} ${b.precision}`))
    .map((row) => line(row.backend, row.precision, row.passed + row.failed, row.failed, row.skipped));
  return [
    ...[...adapters].map((adapter) => `WebGPU adapter: ${adapter}`),
    line("backend", "precision", "executed", "failed", "skipped"),
    ...table,
    ...[...skips].map(([reason, count]) => `skipped ${count} of ${reason}`),
  ].join("\n");
}

function line(backend: string, precision: string, ...counts: (number | string)[]): string {
  return [backend.padEnd(10), precision.padEnd(10), ...counts.map((count) => `${count}`.padStart(9))].join("");
}
