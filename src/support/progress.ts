/** What `onProgress` is told while a model loads. */
export interface LoadProgress {
  /** "download" of a file that is fetched whole before it is used, "weights" on their way to the backend. */
  readonly phase: "download" | "weights";
  /** The file that is downloaded; of weights the model, as it was named. */
  readonly file: string;
  /** Bytes that have arrived. */
  readonly loaded: number;
  /** Bytes that are needed. */
  readonly total: number;
  /** How fast they come, as of the last few seconds; 0 at first. */
  readonly bytesPerSecond: number;
}

/** Milliseconds after which what happened counts for 1/e in the rate. */
const MEMORY = 3000;

/**
 * Reports one phase of one file, called with the bytes that have arrived and the total. The rate is an exponentially
 * weighted mean over time, corrected for its beginning at zero. `now` is in milliseconds; the bytes before `from` were
 * there already and count for no rate.
 */
export function reporter(
  report: (progress: LoadProgress) => void,
  phase: LoadProgress["phase"],
  file: string,
  now: () => number = () => performance.now(),
  from = 0,
): (loaded: number, total: number) => void {
  const start = now();
  let last = start;
  let before = from;
  let sum = 0;
  return (loaded, total) => {
    const time = now();
    const passed = time - last;
    // Within one tick of the clock bytes gather until it moves on.
    if (passed > 0) {
      const weight = 1 - Math.exp(-passed / MEMORY);
      sum += weight * ((loaded - before) / passed - sum);
      last = time;
      before = loaded;
    }
    const share = 1 - Math.exp(-(last - start) / MEMORY);
    report({ phase, file, loaded, total, bytesPerSecond: share > 0 ? (1000 * sum) / share : 0 });
  };
}
