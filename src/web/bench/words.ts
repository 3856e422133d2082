import type { KernelRow } from "../../../bench/operations/measure.ts";

/** Names and shapes of the results as the page writes them. */
export function inWords(text: string): string {
  return text.replaceAll("_", " ").replace(/(?<=\d) x (?=\d)/g, " × ");
}

/** The operation and the layer it serves. */
export function nameOf({ op, layer }: KernelRow): string {
  return inWords(layer === undefined || layer === "norm" ? op : `${op} ${layer}`);
}

/** The form, where there is more than one. */
export function formOf({ form }: KernelRow): string {
  return form === "one" ? "" : form;
}

/** What was computed, whatever the form. */
export function subjectOf(row: KernelRow): string {
  const { shape = "", weights, activations } = row;
  const numbers = weights ? `${weights} weights, ${activations} activations` : `${activations}`;
  return `${nameOf(row)}: ${inWords(shape)}, ${numbers}`;
}
