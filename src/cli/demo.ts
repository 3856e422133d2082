import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Command } from "commander";
import { findExamples } from "../node/examples.ts";
import type { Siglip } from "../node.ts";
import { duration } from "../support/units.ts";
import { addRunOptions, openModel, type RunOptions } from "./model.ts";
import { Progress } from "./progress.ts";
import { aligned, rankedTable } from "./table.ts";
import { print, printJson, style } from "./terminal.ts";

/** Which of the examples are shown, and how many labels of each: they fill a small terminal. */
const SHOWN = ["two-cats.png", "three-birds.png", "dog-and-banana.jpg"];
const LABELS = 4;

/** `siglip demo`: the embedded model on a few of its own pictures. */
export function addDemo(program: Command, signal: AbortSignal): void {
  const command = program.command("demo").description("Classify a few pictures with the small model that is built in.");
  addRunOptions(command).action((options: RunOptions) => demo({ ...options, model: "demo" }, signal));
}

async function demo(options: RunOptions, signal: AbortSignal): Promise<void> {
  const folder = findExamples();
  const { examples } = JSON.parse(await readFile(join(folder, "examples.json"), "utf8"));
  const labels = new Map<string, string[]>(examples.map((entry: Example) => [entry.file, entry.labels]));
  const began = performance.now();
  const model = await openModel(options, ["image", "text"], signal);
  const loaded = performance.now();
  if (!options.json) introduce(model.device, options.backend === "auto");
  const progress = new Progress("classifying", signal, SHOWN.length);
  const results = [];
  try {
    for (const [done, file] of SHOWN.entries()) {
      progress.update(done, SHOWN.length);
      const wanted = labels.get(file)!.slice(0, LABELS);
      const ranked = await model.classify(join(folder, file), wanted, { templates: ["{label}"], signal });
      results.push({ image: join(folder, file), labels: ranked });
      progress.pause();
      if (!options.json) print(`${rankedTable(near(join(folder, file)), ranked)}\n`);
    }
  } finally {
    progress.stop();
    model.dispose();
  }
  if (options.json) return printJson(results);
  const seconds = [loaded - began, performance.now() - loaded].map((time) => duration(time / 1000));
  print(`Loaded in ${seconds[0]}, classified in ${seconds[1]}. Try your own picture and labels:`);
  print(style("bold", `  ${invocation()} classify PICTURE --labels "a dog" "a pizza"`));
}

interface Example {
  readonly file: string;
  readonly labels: string[];
}

function introduce({ backend, adapter, dtype }: Siglip["device"], auto: boolean): void {
  const place = adapter ?? (auto ? "no hardware GPU was found, nor SIMD" : "as asked for");
  print(
    aligned([
      ["model", "demo: knows emoji, not photos"],
      ["backend", `${backend}, ${dtype} weights (${place})`],
    ]),
  );
  print();
}

/** How this program is started: from its sources with tsx, else by its name. */
function invocation(): string {
  const main = process.argv[1] ?? "";
  return main.endsWith(".ts") ? `npx tsx ${near(main)}` : "siglip";
}

/** A path as seen from the current folder, where it lies below it. */
function near(path: string): string {
  const seen = relative(process.cwd(), path);
  return seen.startsWith("..") ? path : seen;
}
