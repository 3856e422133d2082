import type { Interval } from "../evaluate/bootstrap.ts";
import { assess, type Probabilities } from "../evaluate/calibration.ts";
import type { Classes } from "../evaluate/labelled.ts";
import { type Difference, difference, type Metric } from "../evaluate/metrics.ts";
import type { Pairs } from "../evaluate/pairs.ts";
import { confusions, type Predictions, perClass } from "../evaluate/zeroshot.ts";
import { mismatch } from "../support/error.ts";
import { duration } from "../support/units.ts";
import { csvLine } from "./csv.ts";
import { type Fit, fitTo, showFit } from "./eval-fit.ts";
import type { EvalOptions } from "./eval-options.ts";
import type { EvalPictures } from "./eval-pictures.ts";
import type { Run } from "./eval-runs.ts";
import { aligned } from "./table.ts";
import { plain, print, printData, printJson, style } from "./terminal.ts";

/** What was found of one model. */
export interface Measured {
  readonly metrics: readonly Metric[];
  /** Every picture with every text. */
  readonly pairs: Pairs;
  /** Of a classification. */
  readonly predictions?: Predictions;
}

/** All that there is to report. */
export interface Report {
  /** Its path. */
  readonly data: string;
  /** How much of it was taken, in words and as fields. */
  readonly size: string;
  readonly counts: Readonly<Record<string, unknown>>;
  readonly set: EvalPictures<{ readonly image: string }>;
  readonly runs: readonly Run<Measured>[];
  /** How many models could not be run here. */
  readonly missing: number;
  readonly options: EvalOptions;
  readonly classes?: Classes;
}

/** Worst classes and confusions that a table shows; JSON and CSV have all. */
const WORST = 10;

/**
 * Prints what was measured, in the form that was asked for, and writes the calibration. Rejects in the end, when all is
 * done, where pictures were left out or a model could not be run.
 */
export async function finish(report: Report, signal: AbortSignal): Promise<void> {
  const { options, set, data, runs, missing } = report;
  let unfit: unknown;
  const fit =
    options.fit === undefined
      ? undefined
      : await fitTo(options.fit, runs[0], report, signal).catch((error) => {
          unfit = error;
          return undefined;
        });
  if (options.json) printJson(asJson(report, fit));
  else if (options.csv) for (const row of csvRows(report)) await printData(csvLine(row));
  else print(asText(report, fit));
  set.tellFailed();
  if (unfit) throw unfit;
  const incomplete = set.incomplete(data);
  if (incomplete) throw incomplete;
  if (missing === 0) return;
  const wanted = `all ${runs.length + missing} combinations of backend and dtype`;
  throw mismatch("unsupported", "siglip eval", wanted, `${runs.length} that run here`, "leave out those named above");
}

/** A backend and a precision in words. */
function title({ device }: Run<Measured>): string {
  return `${device.dtype} on ${device.backend}`;
}

function differenceOf(report: Report, run: Run<Measured>, at: number): Difference | undefined {
  const [first] = report.runs;
  return run === first ? undefined : difference(run.result.metrics[at], first.result.metrics[at]);
}

function asText(report: Report, fit: Fit | undefined): string {
  const { data, size, runs, options } = report;
  const [first] = runs;
  const rows = first.result.metrics.flatMap(({ name }, at) =>
    runs.map((run, index) => {
      const { value, interval } = run.result.metrics[at];
      const less = differenceOf(report, run, at);
      const range = (interval: Interval, show: (share: number) => string) => `[${interval.map(show).join(", ")}]`;
      const points = less ? [signed(less.value), range(less.interval, signed)] : [];
      return [index === 0 ? name : "", title(run), percent(value), range(interval, percent), ...points];
    }),
  );
  const head = ["", "", "%", "95% interval", ...(runs.length > 1 ? ["points more", "95% interval"] : [])];
  const times = runs.map((run, index) => [index === 0 ? "time" : "", title(run), duration(run.seconds)]);
  const parts = [
    `${style("bold", plain(data))}: ${size}\n${aligned([head, ...rows, ...times])}`,
    tieNotes(report),
    // What a fit is of, it says itself.
    runs.length > 1 && (first.result.predictions || !fit) ? `Of ${title(first)}:` : "",
    ...(first.result.predictions ? classTables(report, first.result.predictions) : []),
    fit ? showFit(fit, options.fit!) : probabilities(first, options),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

/** What hangs on the order of equal scores, a line each. */
function tieNotes({ runs }: Report): string {
  const notes = runs.flatMap((run) =>
    run.result.metrics
      .filter(({ ties: [low, high] }) => low !== high)
      .map(
        ({ name, ties }) => `${title(run)}: equal scores; ${name} is ${ties.map(percent).join(" to ")} by their order.`,
      ),
  );
  return notes.join("\n");
}

function classTables({ classes }: Report, predictions: Predictions): string[] {
  const { names } = classes!;
  const worst = perClass(predictions, names.length)
    .filter(({ recall }) => recall < 1)
    .sort((a, b) => a.recall - b.recall || b.pictures - a.pictures)
    .slice(0, WORST)
    .map(({ index, pictures, recall, precision }) => [
      plain(names[index]),
      `${pictures}`,
      percent(recall),
      Number.isNaN(precision) ? "none" : percent(precision),
    ]);
  const confused = confusions(predictions, names.length)
    .slice(0, WORST)
    .map(({ truth, predicted, pictures, share }) => [
      plain(names[truth]),
      `${pictures} (${percent(share)} %)`,
      `taken for ${plain(names[predicted])}`,
    ]);
  return [
    worst.length > 0 ? aligned([["worst classes", "pictures", "recall", "precision"], ...worst]) : "",
    confused.length > 0 ? `${style("bold", "worst confusions")}\n${aligned(confused)}` : "",
  ];
}

function probabilities({ result, calibration }: Run<Measured>, { prior }: EvalOptions): string {
  const { loss, calibrationError, matching, others } = assess(result.pairs, calibration, { prior });
  const over = ({ overHalf }: Probabilities) => `${Number((100 * overHalf).toPrecision(3))}%`;
  const ofOthers = Number.isNaN(others.overHalf) ? "there are no others" : `of ${over(others)} of the others`;
  return aligned([
    ["probability over one half", `of ${over(matching)} of true pairs, ${ofOthers}`],
    ["calibration error, loss", `${calibrationError.toPrecision(3)}, ${loss.toPrecision(4)}`],
  ]);
}

function asJson(report: Report, fit: Fit | undefined): unknown {
  const { data, counts, set, runs, options, classes } = report;
  const { model, resamples, seed, prior } = options;
  return {
    data,
    model,
    ...counts,
    skipped: set.failed.map(({ message }) => message),
    bootstrap: { resamples, seed },
    runs: runs.map((run) => {
      const { predictions, metrics, pairs } = run.result;
      return {
        ...run.device,
        seconds: run.seconds,
        metrics: metrics.map(({ name, value, interval, ties }, at) => {
          return { name, value, interval, ties, difference: differenceOf(report, run, at) };
        }),
        probabilities: { ...run.calibration, ...assess(pairs, run.calibration, { prior }) },
        ...(predictions && classes && classFields(predictions, classes)),
      };
    }),
    ...(fit && { calibration: fit }),
  };
}

function classFields(predictions: Predictions, { keys, names }: Classes): object {
  const named = (index: number) => ({ label: keys[index], name: names[index] });
  return {
    classes: perClass(predictions, keys.length).map(({ index, pictures, recall, precision }) => {
      return { ...named(index), pictures, recall, precision: Number.isNaN(precision) ? null : precision };
    }),
    confusions: confusions(predictions, keys.length).map(({ truth, predicted, pictures, share }) => {
      return { label: keys[truth], predicted: keys[predicted], pictures, share };
    }),
  };
}

/** A line for each figure of each model; shares lie between 0 and 1. */
function csvRows(report: Report): (string | number | undefined)[][] {
  const head = ["backend", "dtype", "metric", "class", "value", "low", "high", "difference", "from", "to"];
  const rows = report.runs.flatMap((run) => {
    const { metrics, predictions } = run.result;
    const { backend, dtype } = run.device;
    const shares = metrics.map(({ name, value, interval }, at) => {
      const less = differenceOf(report, run, at);
      return [backend, dtype, name, undefined, value, ...interval, less?.value, less?.interval[0], less?.interval[1]];
    });
    const keys = report.classes?.keys ?? [];
    const classes = (predictions ? perClass(predictions, keys.length) : []).flatMap(({ index, recall, precision }) =>
      Object.entries({ recall, precision }).map(([name, value]) => {
        const blanks = Array.from({ length: 5 }, () => undefined);
        return [backend, dtype, name, keys[index], Number.isNaN(value) ? undefined : value, ...blanks];
      }),
    );
    return [...shares, ...classes];
  });
  return [head, ...rows];
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/** Points of a percentage. */
function signed(share: number): string {
  const shown = percent(share);
  return Number(shown) === 0 ? "0.0" : `${share > 0 ? "+" : ""}${shown}`;
}
