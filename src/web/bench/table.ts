import { digits, duration, percent, rate } from "../../../bench/lib/statistics.ts";
import type { KernelRow } from "../../../bench/operations/measure.ts";
import { make } from "../dom.ts";
import { inWords } from "./words.ts";

const HEAD = [
  "Operation",
  "Shape",
  "Form",
  "Weights",
  "Activations",
  "Error",
  "Least",
  "Median",
  "Rate",
  "Memory",
  "Of ceiling",
];
/** The columns of text, before those of numbers. */
const TEXT = 5;

/** Every form that was verified and timed, or found wrong, as it comes. */
export class Table {
  /** Scrolls by itself where the page is narrower. */
  readonly element: HTMLElement;
  private readonly body = make("tbody");

  constructor() {
    const head = HEAD.map((title, c) => make("th", { scope: "col", ...numeric(c) }, title));
    const table = make(
      "table",
      {},
      make("caption", {}, "Every form of every kernel, verified against float64, then timed"),
      make("thead", {}, make("tr", {}, ...head)),
      this.body,
    );
    this.element = make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "All results" }, table);
  }

  /** Appends a row that was timed or is wrong. */
  add(row: KernelRow): void {
    const { op, layer = "", shape = "", form, weights = "", activations = "" } = row;
    const name = [op, layer === "norm" ? "" : layer].filter(Boolean).join(" ");
    const text = [inWords(name), inWords(shape), form === "one" ? "" : form, weights, activations];
    const cells = text.map((value, c) => make(c === 0 ? "th" : "td", c === 0 ? { scope: "row" } : {}, value));
    if (row.error) {
      const span = String(HEAD.length - TEXT);
      cells.push(make("td", { colspan: span, class: "failed" }, `Wrong, so not timed: ${row.error}`));
    } else {
      const numbers = [
        row.nmse!.toExponential(1),
        duration(row.min!),
        duration(row.median!),
        row.ceiling === "copy" ? "" : rate(row.flopsPerSecond!),
        `${digits(row.bytesPerSecond! / 1e9)} GB/s`,
        `${percent(row.ofCeiling)} of ${row.ceiling}`,
      ];
      cells.push(...numbers.map((value) => make("td", { class: "number" }, value)));
    }
    this.body.append(make("tr", {}, ...cells));
  }

  clear(): void {
    this.body.replaceChildren();
  }
}

function numeric(column: number): Record<string, string> {
  return column < TEXT ? {} : { class: "number" };
}
