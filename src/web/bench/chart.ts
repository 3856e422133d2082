import { percent } from "../../../bench/lib/statistics.ts";
import type { KernelRow } from "../../../bench/operations/measure.ts";
import { make } from "../dom.ts";
import { formOf, subjectOf } from "./words.ts";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 16;

interface Line {
  readonly element: HTMLLIElement;
  readonly rows: KernelRow[];
}

/**
 * For every operation, shape and precision a bar: the share of its ceiling that the fastest form reaches; the other
 * forms as dots. The table has the same figures, so the drawing itself is hidden from screen readers.
 */
export class Chart {
  readonly element = make("ol", { class: "chart" });
  private readonly lines = new Map<string, Line>();

  /** Draws a row that was timed. */
  add(row: KernelRow): void {
    const key = subjectOf(row);
    let line = this.lines.get(key);
    if (!line) {
      line = { element: make("li"), rows: [] };
      this.lines.set(key, line);
      this.element.append(line.element);
    }
    line.rows.push(row);
    line.rows.sort((a, b) => a.median! - b.median!);
    const [best, ...others] = line.rows;
    line.element.replaceChildren(
      make("span", { class: "what" }, key),
      make("span", { class: "share" }, percent(best.ofCeiling), " ", make("span", { class: "muted" }, formOf(best))),
      drawing(share(best), others.map(share)),
    );
  }

  clear(): void {
    this.lines.clear();
    this.element.replaceChildren();
  }
}

function share({ ofCeiling = 0 }: KernelRow): number {
  return 100 * Math.min(1, Math.max(0, ofCeiling));
}

/** Widths are in percent, so that the drawing is as wide as there is room. */
function drawing(best: number, others: readonly number[]): SVGSVGElement {
  const middle = HEIGHT / 2;
  const dots = others.map((x) => draw("circle", { class: "other", cx: `${x}%`, cy: middle, r: 3 }));
  return draw(
    "svg",
    { width: "100%", height: HEIGHT, "aria-hidden": "true" },
    draw("rect", { class: "track", width: "100%", height: HEIGHT, rx: 4 }),
    draw("rect", { class: "best", width: `${best}%`, height: HEIGHT, rx: 4 }),
    ...[25, 50, 75].map((x) => draw("line", { class: "mark", x1: `${x}%`, x2: `${x}%`, y1: 0, y2: HEIGHT })),
    ...dots,
  );
}

function draw<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number>>,
  ...children: SVGElement[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}
