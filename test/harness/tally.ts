import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";

interface Row {
  backend: string;
  precision: string;
  passed: number;
  failed: number;
  skipped: number;
}

/** How many of the slowest files are named. */
const SLOWEST = 10;

/**
 * A vitest reporter that names the slowest files and says, for every backend and precision, how many cases ran, how many were
 * skipped, and why.
 */
export class TallyReporter implements Reporter {
  private vitest!: Vitest;

  onInit(vitest: Vitest): void {
    this.vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    this.vitest.logger.log(`\n${slowest(modules)}`);
    this.vitest.logger.log(`\n${tally(modules.flatMap((module) => [...module.children.allTests()]))}`);
  }
}

function slowest(modules: readonly TestModule[]): string {
  const files = modules.map((module) => {
    const { environmentSetupDuration, prepareDuration, collectDuration, setupDuration, duration } = module.diagnostic();
    const spent = environmentSetupDuration + prepareDuration + collectDuration + setupDuration + duration;
    return { name: module.relativeModuleId, seconds: spent / 1000 };
  });
  const total = files.reduce((sum, { seconds }) => sum + seconds, 0);
  const named = files.sort((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
  return [
    `${files.length} files took ${total.toFixed(0)} s one after another; the slowest:`,
    ...named.map(({ name, seconds }) => `${seconds.toFixed(1).padStart(7)} s  ${name}`),
  ].join("\n");
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
  return [backend.padEnd(14), precision.padEnd(10), ...counts.map((count) => `${count}`.padStart(9))].join("");
}
