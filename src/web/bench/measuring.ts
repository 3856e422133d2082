import type { Ceilings } from "../../../bench/lib/ceilings.ts";
import type { Adapter } from "../../../bench/lib/device.ts";
import { duration } from "../../../bench/lib/statistics.ts";
import type { KernelRow } from "../../../bench/operations/measure.ts";
import { make } from "../dom.ts";
import { Chart } from "./chart.ts";
import { makeControls } from "./controls.ts";
import { ceilingFacts, factList } from "./facts.ts";
import { copyText, type PageResult, save, where } from "./results.ts";
import { Skipped } from "./skipped.ts";
import { Table } from "./table.ts";
import { formOf, nameOf } from "./words.ts";
import type { Told } from "./worker.ts";

/** Controls, and what is measured: a chart and a table that grow as results come, and the results as JSON. */
export function mountMeasuring(root: HTMLElement, software: boolean, announce: (text: string) => void): void {
  const controls = makeControls(software);
  const status = make("p", { class: "status muted" });
  const most = make("div");
  const [chart, table, skipped] = [new Chart(), new Table(), new Skipped()];
  const figure = make(
    "figure",
    {},
    make("figcaption", {}, software ? "Share of the software adapter's ceiling" : "Share of this device's ceiling"),
    make(
      "p",
      { class: "muted" },
      "The bar is the fastest form, the dots are the others; the marks are at 25, 50 and 75%.",
    ),
    chart.element,
  );
  const results = make("div", { class: "results", hidden: "" }, most, figure, table.element, skipped.element);
  root.append(controls.element, status, results);

  let worker: Worker | undefined;
  let began = 0;
  let adapter: Adapter | undefined;
  let ceilings: Ceilings | undefined;
  let full = false;
  let rows: KernelRow[] = [];

  controls.run.addEventListener("click", () => {
    if (worker) return finish("Stopped");
    rows = [];
    [adapter, ceilings, began] = [undefined, undefined, performance.now()];
    for (const part of [chart, table, skipped]) part.clear();
    most.replaceChildren();
    results.hidden = false;
    controls.running(true);
    show("Measuring what the device can do at most …");
    announce("Measuring.");
    worker = new Worker(workerUrl(root), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Told>) => hear(data);
    worker.onerror = ({ message }) => finish(`The bench's worker fails (${message}); load the page again.`, true);
    worker.postMessage(controls.wanted());
  });
  controls.copy.addEventListener("click", async () => {
    show(
      await copyText(json()).then(
        () => "Results copied.",
        () => "This browser does not let a page copy; save them as a file instead.",
      ),
    );
  });
  controls.save.addEventListener("click", () => save(json()));

  function hear(told: Told): void {
    if ("adapter" in told) ({ adapter, full } = told);
    else if ("note" in told) show(`Measuring what the device can do at most: ${told.note}`);
    else if ("ceilings" in told) {
      ceilings = told.ceilings;
      most.replaceChildren(make("h2", {}, "What the device does at most"), factList(ceilingFacts(ceilings)));
    } else if ("row" in told) add(told.row);
    else if ("failed" in told) finish(told.failed, true);
    else finish(`Done, ${told.done.pipelines} pipelines compiled in ${duration(told.done.seconds)}`);
  }

  function add(row: KernelRow): void {
    rows.push(row);
    if (row.skipped) skipped.add(row);
    else table.add(row);
    if (row.median !== undefined) chart.add(row);
    controls.got();
    show(`${counts()}; the last was ${[formOf(row), nameOf(row)].filter(Boolean).join(" of ")}`);
  }

  function finish(how: string, failed = false): void {
    worker?.terminate();
    worker = undefined;
    controls.running(false);
    const text = failed ? how : `${how}: ${counts()} in ${duration((performance.now() - began) / 1000)}.`;
    show(text, failed);
    announce(text);
  }

  function counts(): string {
    const count = (what: keyof KernelRow) => rows.filter((row) => row[what] !== undefined).length;
    return `${count("median")} timed, ${count("error")} wrong, ${count("skipped")} skipped`;
  }

  function show(text: string, failed = false): void {
    status.classList.toggle("failed", failed);
    status.textContent = text;
  }

  function json(): string {
    const result: PageResult = { bench: "kernels", adapter, environment: where(), full, ceilings, rows };
    return JSON.stringify(result, undefined, 2);
  }
}

/** The build names the worker's script by its contents, and the page says how. */
function workerUrl(root: HTMLElement): string {
  return new URL(root.dataset.worker!, document.baseURI).href;
}
