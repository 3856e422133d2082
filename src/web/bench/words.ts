import type { KernelRow } from "../../../bench/operations/measure.ts";

/** Names and shapes of the results as the page writes them. */
export function inWords(text: string): string {
  return text === "one" ? "its one form" : text.replaceAll("_", " ").replace(/(?<=\d) ?x ?(?=\d)/g, " × ");
}

/** What was computed, whatever the form. */
export function subjectOf({ op, layer, shape = "", weights, activations }: KernelRow): string {
  const name = [op, layer === "norm" ? "" : layer].filter(Boolean).join(" ");
  const numbers = weights ? `${weights} weights, ${activations} activations` : `${activations}`;
  return `${inWords(name)}: ${inWords(shape)}, ${numbers}`;
}
