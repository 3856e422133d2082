import { make } from "../dom.ts";

/** A label and the probability that it holds. */
export interface Bar {
  readonly label: string;
  readonly probability: number;
}

/**
 * Draws probabilities as bars, the likeliest first; rows that are there are written anew. `chosen` is the label that is
 * pressed.
 */
export function drawBars(list: HTMLElement, bars: readonly Bar[], chosen?: string): void {
  const sorted = [...bars].sort((a, b) => b.probability - a.probability);
  while (list.children.length > sorted.length) list.lastElementChild!.remove();
  while (list.children.length < sorted.length) {
    const [fill, percent] = ["fill", "percent"].map((name) => make("span", { class: name }));
    const label = make("button", { class: "label", type: "button" });
    list.append(make("li", {}, fill, label, percent));
  }
  for (const [index, { label, probability }] of sorted.entries()) {
    const [fill, name, percent] = list.children[index].children as unknown as HTMLElement[];
    fill.style.width = `${(100 * probability).toFixed(2)}%`;
    name.textContent = label;
    name.setAttribute("aria-pressed", String(label === chosen));
    percent.textContent = formatPercent(probability);
  }
}

/** A probability in percent, to two digits where it is small: "98%", "0.4%", "<0.1%". */
export function formatPercent(probability: number): string {
  const percent = 100 * probability;
  if (percent < 0.1) return "<0.1%";
  return `${percent < 9.95 ? percent.toFixed(1) : Math.min(99.9, percent).toFixed(percent > 99 ? 1 : 0)}%`;
}
