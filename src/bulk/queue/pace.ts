/** A shard that is done, as far as its pace is concerned. */
export interface DoneShard {
  /** Rows in its file. */
  readonly rows: number;
  /** When a worker began and ended it, in milliseconds since 1970. */
  readonly began: number;
  readonly ended: number;
}

/** How fast a queue goes. */
export interface Pace {
  /** Rows a second over the last minutes; undefined while no shard was done in them. */
  readonly rate?: number;
  /** Seconds until the rest is done at that rate. */
  readonly left?: number;
}

/** Over how long a rate is measured, in milliseconds. */
const WINDOW = 600_000;

/**
 * The pace of late: of the shards that were done in the last ten minutes, and of the rows that those in work have come to.
 * `unfinished` shards wait or are in work, and are taken to be as large as those that are done.
 */
export function paceOf(done: Iterable<DoneShard>, inWork: number, unfinished: number, now: number): Pace {
  const recent = [...done].filter(({ ended }) => ended >= now - WINDOW);
  if (recent.length === 0) return {};
  const began = recent.reduce((least, shard) => Math.min(least, shard.began), now);
  const rows = recent.reduce((sum, shard) => sum + shard.rows, 0);
  const rate = (rows + inWork) / (Math.max(1000, now - began) / 1000);
  if (rate === 0) return { rate };
  return { rate, left: Math.max(0, (unfinished * rows) / recent.length - inWork) / rate };
}
