import { type Assessment, assess, type Fitted, fitScaling } from "../evaluate/calibration.ts";
import { writeFileAtomic } from "../node/file.ts";
import type { Calibration } from "../siglip/calibration.ts";
import type { Measured, Report } from "./eval-report.ts";
import type { Run } from "./eval-runs.ts";
import { aligned } from "./table.ts";
import { plain } from "./terminal.ts";

/** A calibration as it is written, and what is told of it beside. */
export interface Fit extends Calibration, Omit<Fitted, keyof Calibration> {
  readonly model: NonNullable<Calibration["model"]>;
  /** Of the model that it was fitted on. */
  readonly device: { readonly backend: string; readonly dtype: string };
  readonly data: string;
  readonly pairs: { readonly matching: number; readonly others: number };
  /** The share of true pairs that was taken for granted, null for that of the data. */
  readonly prior: number | null;
  /** Sentences around labels, without which scores are others. */
  readonly templates?: unknown;
  readonly before: Assessment;
  readonly after: Assessment;
}

/** Fits a calibration to what one model was found to score, and writes it. */
export async function fitTo(
  path: string,
  { result: { pairs }, calibration, dim, device }: Run<Measured>,
  { data, counts, options }: Report,
  signal: AbortSignal,
): Promise<Fit> {
  const { prior } = options;
  const fitted = fitScaling(pairs, { prior });
  const fit = {
    ...fitted,
    model: { name: options.model, dim, ...calibration },
    device: { backend: device.backend, dtype: device.dtype },
    data,
    pairs: pairs.counts,
    prior: prior ?? null,
    ...("templates" in counts && { templates: counts.templates }),
    before: assess(pairs, calibration, { prior }),
    after: assess(pairs, fitted, { prior }),
  };
  await writeFileAtomic(path, [new TextEncoder().encode(`${JSON.stringify(fit, undefined, 2)}\n`)], signal);
  return fit;
}

/** The fit in words. */
export function showFit(fit: Fit, path: string): string {
  const { before, after, bounded, pairs, device, steps, gradient, model } = fit;
  const rows: [string, (of: Assessment) => number][] = [
    ["loss", ({ loss }) => loss],
    ["calibration error", ({ calibrationError }) => calibrationError],
    ["true pairs: mean probability", ({ matching }) => matching.mean],
    ["true pairs: share over one half", ({ matching }) => matching.overHalf],
    ["others: mean probability", ({ others }) => others.mean],
    ["others: share over one half", ({ others }) => others.overHalf],
  ];
  const values = (name: string, was: number, is: number) => [name, was.toPrecision(4), is.toPrecision(4)];
  const table = aligned([
    ["", "before", "after"],
    values("logit_scale", model.logitScale, fit.logitScale),
    values("logit_bias", model.logitBias, fit.logitBias),
    ...rows.map(([name, of]) => values(name, of(before), of(after))),
  ]);
  const lines = [
    `Fitted on ${device.dtype} to ${pairs.matching} true pairs and ${pairs.others} others, the figures on these, too:`,
    `${steps} Newton steps, to a gradient of ${gradient.toExponential(1)}:`,
    table,
    `${plain(path)}: for siglip classify --calibration.`,
  ];
  if (bounded) {
    lines.push(
      "Every true pair scores above all others, which bounds no fit: it was bounded as if of each kind one",
      "more pair had been seen either way. Labels that are nearly right would tell more.",
    );
  }
  return lines.join("\n");
}
