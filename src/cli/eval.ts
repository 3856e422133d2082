import type { Command } from "commander";
import { addRetrieval } from "./eval-retrieval.ts";
import { addZeroShot } from "./eval-zeroshot.ts";

/** `siglip eval`: how good a model is on labelled data, in one precision or several. */
export function addEval(program: Command, signal: AbortSignal): void {
  const group = program
    .command("eval")
    .description("Measure a model on labelled pictures, in several precisions side by side; fit its probabilities.");
  addRetrieval(group, signal);
  addZeroShot(group, signal);
}
