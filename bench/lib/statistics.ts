/** Durations of the same work, in seconds. */
export interface Timing {
  readonly min: number;
  readonly median: number;
  readonly runs: number;
}

/** At least one duration. */
export function timing(seconds: readonly number[]): Timing {
  const sorted = seconds.toSorted((a, b) => a - b);
  return { min: sorted[0], median: sorted[sorted.length >> 1], runs: sorted.length };
}

/** Three significant digits, without an exponent. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "";
  const places = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(places, 6));
}

/** Seconds with a unit that suits. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "";
  if (seconds >= 1) return `${digits(seconds)} s`;
  return seconds >= 1e-3 ? `${digits(seconds * 1e3)} ms` : `${digits(seconds * 1e6)} µs`;
}

/** Operations a second with a unit that suits. */
export function rate(flopsPerSecond: number): string {
  if (!Number.isFinite(flopsPerSecond)) return "";
  return flopsPerSecond >= 1e12
    ? `${digits(flopsPerSecond / 1e12)} TFLOP/s`
    : `${digits(flopsPerSecond / 1e9)} GFLOP/s`;
}

/** A fraction as a percentage. */
export function percent(fraction: number | undefined): string {
  return fraction === undefined || !Number.isFinite(fraction) ? "" : `${digits(100 * fraction)}%`;
}

/** Rows of cells as a Markdown table; columns after the first `left` are aligned to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], left = 1): string {
  const widths = head.map((title, c) => Math.max(3, title.length, ...rows.map((row) => row[c].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, c) => (c < left ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join(" | ")} |`;
  const rule = widths.map((width, c) => (c < left ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}
