import type { Failures } from "../bulk/failures.ts";
import type { EmbedOutcome } from "../bulk/run.ts";
import type { Siglip } from "../node.ts";
import { mismatch } from "../support/error.ts";
import { duration } from "../support/units.ts";
import { plain, print, printJson, tell } from "./terminal.ts";

/** What is told of a run. */
export interface EmbedReport extends Omit<EmbedOutcome, "failures"> {
  readonly path: string;
  readonly model: string;
  readonly dim: number;
  /** Undefined where nothing had to be loaded. */
  readonly device: Siglip["device"] | undefined;
  readonly seconds: number;
}

/** Says what is in the file and what was made of it now. */
export function reportEmbedding(report: EmbedReport, failed: number, json?: boolean): void {
  const { path, model, dim, device, counts, made, written, seconds } = report;
  const { image: images, text: texts } = counts;
  const kept = images + texts - made;
  if (json) printJson({ out: path, model, ...device, dim, images, texts, made, kept, failed, written, seconds });
  else if (images + texts > 0 || written) {
    const named = [some(images, "image"), some(texts, "text")].filter(Boolean).join(" and ") || "0 images";
    const what = `${named}, ${dim} values each${kept > 0 ? `, ${kept} of which ${kept === 1 ? "was" : "were"} there` : ""}`;
    const where = device ? ` on ${device.backend} with ${device.dtype} weights` : "";
    const done = written ? `${what}, in ${duration(seconds)}${where}` : `nothing to do, for it holds these ${named}`;
    print(`${plain(path)}: ${done}.`);
  }
}

/** Names what could not be embedded; throws where there is any such thing. */
export function tellFailures(path: string, { failures, counts }: EmbedOutcome, problems: Failures): void {
  const sound = counts.image + counts.text;
  const bad = failures.count + problems.count;
  if (bad === 0) return;
  if (sound === 0 && bad === 1) throw failures.last ?? problems.last;
  const messages = [...problems.messages, ...failures.messages];
  for (const message of messages) tell(message);
  const untold = bad - messages.length;
  const named = untold > 0 ? `those named above and ${untold} more` : "those named above";
  const found = `${sound}, for ${named} are no good`;
  throw mismatch("bad-input", path, `embeddings of all ${sound + bad}`, found, "mend these or leave them out");
}

function some(count: number, kind: string): string {
  return count === 0 ? "" : `${count} ${kind}${count === 1 ? "" : "s"}`;
}
