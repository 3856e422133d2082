import type { KernelRow } from "../../../bench/operations/measure.ts";
import { make } from "../dom.ts";
import { formOf, nameOf } from "./words.ts";

/** The forms that were not run, by the reason. */
export class Skipped {
  private readonly list = make("ul");
  private readonly summary = make("summary");
  readonly element = make("details", { hidden: "" }, this.summary, this.list);
  private readonly forms = new Map<string, Set<string>>();
  private count = 0;

  add(row: KernelRow): void {
    const reason = row.skipped!;
    const forms = this.forms.get(reason) ?? new Set();
    this.forms.set(
      reason,
      forms.add([nameOf(row), formOf(row), row.weights, row.activations].filter(Boolean).join(" ")),
    );
    this.count++;
    this.summary.textContent = `${this.count} skipped`;
    this.element.hidden = false;
    this.list.replaceChildren(
      ...[...this.forms].map(([reason, forms]) =>
        make("li", {}, make("strong", {}, reason), `: ${[...forms].join(", ")}`),
      ),
    );
  }

  clear(): void {
    this.count = 0;
    this.forms.clear();
    this.element.hidden = true;
  }
}
