/** What a series is told from others of its name by. */
type Labels = Readonly<Record<string, string>>;

/** Upper bounds of a latency histogram, in seconds. */
export const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Of a histogram of batch sizes, in items. */
export const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256];

interface Family {
  readonly name: string;
  write(): string[];
}

/** Counters, gauges and histograms in Prometheus's text form, version 0.0.4. */
export class Metrics {
  private readonly families: Family[] = [];

  /** A sum that only grows; returns what adds to it. */
  counter(name: string, help: string): (labels?: Labels, amount?: number) => void {
    const values = new Map<string, number>();
    this.add(name, "counter", help, () => [...values].map(([series, value]) => `${name}${series} ${value}`));
    return (labels = {}, amount = 1) => {
      const series = write(labels);
      values.set(series, (values.get(series) ?? 0) + amount);
    };
  }

  /** A value that is asked for when it is shown. */
  gauge(name: string, help: string, ask: () => readonly (readonly [labels: Labels, value: number])[]): void {
    this.add(name, "gauge", help, () => ask().map(([labels, value]) => `${name}${write(labels)} ${value}`));
  }

  /** How often values were at most each of the bounds; returns what takes a value. */
  histogram(name: string, help: string, bounds: readonly number[]): (value: number, labels?: Labels) => void {
    const all = new Map<string, { labels: Labels; counts: number[]; count: number; sum: number }>();
    this.add(name, "histogram", help, () =>
      [...all.values()].flatMap(({ labels, counts, count, sum }) => [
        ...bounds.map((le, at) => `${name}_bucket${write({ ...labels, le: `${le}` })} ${counts[at]}`),
        `${name}_bucket${write({ ...labels, le: "+Inf" })} ${count}`,
        `${name}_sum${write(labels)} ${sum}`,
        `${name}_count${write(labels)} ${count}`,
      ]),
    );
    return (value, labels = {}) => {
      const series = write(labels);
      const one = all.get(series) ?? { labels, counts: bounds.map(() => 0), count: 0, sum: 0 };
      all.set(series, one);
      for (const [at, bound] of bounds.entries()) if (value <= bound) one.counts[at]++;
      one.count++;
      one.sum += value;
    };
  }

  /** Everything, for `text/plain; version=0.0.4`. */
  text(): string {
    return this.families.map((family) => `${family.write().join("\n")}\n`).join("");
  }

  private add(name: string, type: string, help: string, series: () => string[]): void {
    this.families.push({ name, write: () => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...series()] });
  }
}

function write(labels: Labels): string {
  let pairs = "";
  for (const name in labels) pairs += `${pairs && ","}${name}=${JSON.stringify(labels[name])}`;
  return pairs && `{${pairs}}`;
}
