import { type Command, InvalidArgumentError } from "commander";
import { type Hit, VectorIndex } from "../node.ts";
import { parseCount } from "./model.ts";
import { Progress } from "./progress.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson } from "./terminal.ts";

interface DedupeOptions {
  readonly above: number;
  readonly threads?: number;
  readonly json?: boolean;
}

/** `siglip dedupe`: the pictures of an index that are nearly the same, in groups. */
export function addDedupe(program: Command, signal: AbortSignal): void {
  program
    .command("dedupe")
    .description("Show which pictures of an index are nearly the same. Nothing is deleted.")
    .argument("<index>", "a file that siglip embed wrote")
    .option("--above <cosine>", "how near pictures of a group are", parseCosine, 0.97)
    .option("--threads <n>", "to compare on (default: the cores, at most 16)", parseCount)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Every picture is compared with every other: no pair is missed. Pictures that are
near the same one are in one group, so that the ends of a long chain may be less
near. The first of a group comes first in the index, and before each other
stands its cosine with that. Equal files have 1, small changes 0.99 and more.
With --json: a list of groups, each a list of { index, score, name }.

Example: siglip dedupe photos.safetensors --above 0.97`,
    )
    .action((path: string, options: DedupeOptions) => dedupe(path, options, signal));
}

function parseCosine(text: string): number {
  const cosine = Number(text);
  if (text.trim() !== "" && cosine > 0 && cosine <= 1) return cosine;
  throw new InvalidArgumentError("Wanted a number above 0, at most 1.");
}

async function dedupe(path: string, { above, threads, json }: DedupeOptions, signal: AbortSignal): Promise<void> {
  using index = await VectorIndex.load(path, { threads, signal });
  const progress = new Progress("comparing", signal);
  let groups: Hit[][];
  try {
    const onProgress = (done: number, total: number) => progress.update(done, total);
    groups = await index.groups({ above, onProgress, signal });
  } finally {
    progress.stop();
  }
  if (json) printJson(groups);
  else {
    for (const group of groups) print(`${table(group)}\n`);
    const [count, all] = [groups.length, groups.reduce((sum, { length }) => sum + length, 0)];
    const found = `${all} are nearly the same as others, in ${count} ${count === 1 ? "group" : "groups"}`;
    print(`${plain(path)}: of ${index.size} embeddings ${count === 0 ? "none is nearly the same as another" : found}.`);
  }
}

function table(group: readonly Hit[]): string {
  return aligned(group.map(({ index, score, name }) => [score.toFixed(3), plain(name ?? `${index}`)]));
}
