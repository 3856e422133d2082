import { type Command, InvalidArgumentError } from "commander";
import { writePlan } from "../bulk/plan.ts";
import { openSources } from "../bulk/sources/open.ts";
import { checkWritable } from "../node/file.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import { duration } from "../support/units.ts";
import { Progress } from "./progress.ts";
import { plain, print, printJson, tell } from "./terminal.ts";

interface PlanCommand {
  readonly out: string;
  readonly perShard: number;
  readonly json?: boolean;
}

/** So many things that cannot be read are named. */
const NAMED = 100;

/** `siglip plan`: what is to be embedded, listed once, in shards. */
export function addPlan(program: Command, signal: AbortSignal): void {
  program
    .command("plan")
    .description("List what is to be embedded, once for many machines, in shards of a size.")
    .argument(
      "<source...>",
      "as for siglip embed: folders, patterns, pictures, .tar, .jsonl or .txt of texts, - for stdin",
    )
    .requiredOption("--out <file>", "the manifest, a name that ends in .jsonl", parseOut)
    .option("--per-shard <n>", "pictures and texts in a shard", parseCount, 10_000)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Each machine then reads its own lines of the manifest and lists nothing:
  siglip embed manifest.jsonl --shard 3 --out part-3.safetensors
and siglip merge joins the parts. Shards are numbered from 0. Paths are taken from the
folder that a command runs in. A picture that has changed since is refused.
With --json: { out, shards, perShard, images, texts, seconds }.

Example: siglip plan /data/photos --out manifest.jsonl --per-shard 10000`,
    )
    .action((words: string[], options: PlanCommand) => plan(words, options, signal));
}

async function plan(words: readonly string[], options: PlanCommand, signal: AbortSignal): Promise<void> {
  const { out, perShard, json } = options;
  const began = performance.now();
  await checkWritable(out);
  const problems: SiglipError[] = [];
  let count = 0;
  const onProblem = (error: SiglipError) => {
    if (++count <= NAMED) problems.push(error);
  };
  const source = await openSources(words, { signal, onProblem });
  const progress = new Progress("planning", signal);
  let planned: Awaited<ReturnType<typeof writePlan>>;
  try {
    planned = await writePlan(source, out, { perShard, onProblem, signal });
  } finally {
    progress.stop();
    for (const { message } of problems) tell(message);
  }
  const { shards, images, texts } = planned;
  const seconds = (performance.now() - began) / 1000;
  if (json) printJson({ out, shards, perShard, images, texts, seconds });
  else {
    const what = `${shards} shards of up to ${perShard}: ${images} images and ${texts} texts`;
    print(`${plain(out)}: ${what}, in ${duration(seconds)}.`);
  }
  if (count === 0) return;
  const more = count > NAMED ? ` and ${count - NAMED} more` : "";
  throw mismatch(
    "bad-input",
    out,
    "all that was named",
    `what is told above${more} left out`,
    "mend that and plan again",
  );
}

function parseOut(path: string): string {
  if (/\.jsonl$/i.test(path)) return path;
  throw new InvalidArgumentError("Wanted a name that ends in .jsonl.");
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new InvalidArgumentError("Wanted a whole number from 1.");
}
