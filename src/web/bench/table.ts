import { digits, duration, percent, rate } from "../../../bench/lib/statistics.ts";
import type { KernelRow } from "../../../bench/operations/measure.ts";
import { make } from "../dom.ts";
import { formOf, inWords, nameOf } from "./words.ts";

const HEAD = ["Operation", "Shape", "Form", "Numbers", "Error", "Median", "Least", "Of ceiling", "Rate", "Memory"];
/** The columns of text, before those of numbers. */
const TEXT = 4;

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
      make("caption", {}, "Every form, verified and timed"),
      make("thead", {}, make("tr", {}, ...head)),
      this.body,
    );
    this.element = make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "All results" }, table);
  }

  /** Appends a row that was timed or is wrong. */
  add(row: KernelRow): void {
    const { shape = "", weights, activations } = row;
    const numbers = [weights, activations].filter(Boolean).join(" × ");
    const text = [nameOf(row), inWords(shape), formOf(row), numbers];
    const cells = text.map((value, c) => make(c === 0 ? "th" : "td", c === 0 ? { scope: "row" } : {}, value));
    if (row.error) {
      const span = String(HEAD.length - TEXT);
      cells.push(make("td", { colspan: span, class: "failed" }, `Wrong, so not timed: ${row.error}`));
    } else {
      const found = [
        row.nmse === 0 ? "0" : row.nmse!.toExponential(1),
        duration(row.median!),
        duration(row.min!),
        `${percent(row.ofCeiling)} of ${row.ceiling}`,
        row.ceiling === "copy" ? "" : rate(row.flopsPerSecond!),
        `${digits(row.bytesPerSecond! / 1e9)} GB/s`,
      ];
      cells.push(...found.map((value) => make("td", { class: "number" }, value)));
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
