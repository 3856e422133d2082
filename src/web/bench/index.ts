import type { AppContext } from "../context.ts";
import { make } from "../dom.ts";

/** The kernel bench. */
export function mountBench(root: HTMLElement, _context: AppContext): void {
  root.append(make("p", { class: "muted" }, "Nothing is measured here yet."));
}
