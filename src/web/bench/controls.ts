import type { Wanted } from "../../../bench/operations/suite.ts";
import { OPERATIONS, type Operation } from "../../../bench/operations/trial.ts";
import { make } from "../dom.ts";
import { inWords } from "./words.ts";

/** What is asked of the bench. */
export interface Controls {
  readonly element: HTMLElement;
  /** Starts, and while it runs stops. */
  readonly run: HTMLButtonElement;
  readonly copy: HTMLButtonElement;
  readonly save: HTMLButtonElement;
  wanted(): Wanted;
  running(yes: boolean): void;
  /** There are results to copy. */
  got(): void;
}

/** One text and one picture in the precision that most use: some minutes on a GPU. */
const QUICK: Wanted = { rows: [64, 729], weights: ["f16"] };

/** The controls; a software adapter has one extent only, the smallest. */
export function makeControls(software: boolean): Controls {
  const boxes = new Map<Operation, HTMLInputElement>();
  const choices = OPERATIONS.map((op) => {
    const box = make("input", { type: "checkbox", value: op, checked: "" });
    boxes.set(op, box);
    return make("label", { class: "choice" }, box, inWords(op));
  });
  const operations = make(
    "fieldset",
    {},
    make("legend", {}, "Operations"),
    make("div", { class: "buttons" }, ...choices),
  );
  const extent = make(
    "select",
    { id: "bench-extent" },
    make("option", { value: "quick" }, "one text, one picture, f16 weights"),
    make("option", { value: "all" }, "every shape and precision"),
  );
  const shapes = make("div", software ? { hidden: "" } : {}, make("label", { for: "bench-extent" }, "Shapes"), extent);
  const run = make("button", { type: "button", class: "primary" }, "Measure");
  const copy = make("button", { type: "button", disabled: "" }, "Copy JSON");
  const save = make("button", { type: "button", disabled: "" }, "Save JSON");
  return {
    element: make(
      "div",
      { class: "controls" },
      make("div", { class: "what-to-run" }, operations, shapes),
      make("div", { class: "buttons" }, run, copy, save),
    ),
    run,
    copy,
    save,
    wanted() {
      const ops = OPERATIONS.filter((op) => boxes.get(op)!.checked);
      return { ops, ...(software || extent.value === "all" ? {} : QUICK) };
    },
    running(yes) {
      run.textContent = yes ? "Stop" : "Measure";
      run.classList.toggle("primary", !yes);
      for (const input of [extent, ...boxes.values()]) input.disabled = yes;
      if (yes) copy.disabled = save.disabled = true;
    },
    got() {
      copy.disabled = save.disabled = false;
    },
  };
}
