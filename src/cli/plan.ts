import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { writePlan } from "../bulk/plan.ts";
import { type Added, ShardQueue, type ShardTask } from "../bulk/queue/shard-queue.ts";
import { openSources } from "../bulk/sources/open.ts";
import { checkWritable } from "../node/file.ts";
import type { VectorDType } from "../search/vectors.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import { counted, duration } from "../support/units.ts";
import { parseCount } from "./model.ts";
import { Progress } from "./progress.ts";
import { plain, print, printJson, tell } from "./terminal.ts";
import { parseVectorFile, parseVectors } from "./vector-file.ts";
import { parseQueueName } from "./work.ts";

interface PlanCommand {
  readonly out: string;
  readonly perShard: number;
  readonly json?: boolean;
  readonly queue?: string;
  readonly name: string;
  readonly to?: string;
  readonly model?: string;
  readonly vectors?: VectorDType;
  readonly again?: boolean;
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
    .option("--queue <url>", "hand the shards out by a Redis, redis://host:port, for siglip work")
    .option("--name <name>", "of the queue, where one Redis keeps several", parseQueueName, "siglip")
    .option(
      "--to <files>",
      "with --queue: a file for each shard, {} for its number (default: NAME-{}.safetensors)",
      parseTo,
    )
    .option("--model <model>", "with --queue: what embeds them (default: demo)")
    .option("--vectors <dtype>", "with --queue: how they are stored, f32, f16 or int8 (default: f32)", parseVectors)
    .option("--again", "with --queue: have done again what is done but whose file is not seen here")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Each machine then reads its own lines of the manifest and lists nothing:
  siglip embed manifest.jsonl --shard 3 --out part-3.safetensors
and siglip merge joins the parts. Shards are numbered from 0. Paths are taken
from the folder that a command runs in. A picture that has changed since is
refused. Given again, --queue adds what is not in the queue, and tells what is
done but whose file is not seen here; with --again that is done again.
With --json: { out, shards, perShard, images, texts, queued, gone, seconds }.

Examples: siglip plan /data/photos --out manifest.jsonl --per-shard 10000
          siglip plan /data/photos --out /data/photos.jsonl --queue redis://host`,
    )
    .action((words: string[], options: PlanCommand, command: Command) => {
      const { queue, to, model, vectors, again } = options;
      if (queue === undefined && [to, model, vectors, again].some((option) => option !== undefined)) {
        command.error(
          "error: wanted --queue beside --to, --model, --vectors and --again, found none; siglip embed takes such options else",
        );
      }
      return plan(words, options, signal);
    });
}

async function plan(words: readonly string[], options: PlanCommand, signal: AbortSignal): Promise<void> {
  const { out, queue: url } = options;
  await checkWritable(out);
  const queue = url === undefined ? undefined : await ShardQueue.open(url, options.name);
  try {
    await planInto(queue, words, options, signal);
  } finally {
    await queue?.close();
  }
}

async function planInto(
  queue: ShardQueue | undefined,
  words: readonly string[],
  options: PlanCommand,
  signal: AbortSignal,
): Promise<void> {
  const { out, perShard, json } = options;
  const began = performance.now();
  const problems: SiglipError[] = [];
  let count = 0;
  const onProblem = (error: SiglipError) => {
    if (++count <= NAMED) problems.push(error);
  };
  const source = await openSources(words, { signal, onProblem });
  const progress = new Progress("planning", signal);
  const onProgress = (entries: number) => progress.update(entries, 0);
  let planned: Awaited<ReturnType<typeof writePlan>>;
  try {
    planned = await writePlan(source, out, { perShard, onProblem, onProgress, signal });
  } finally {
    progress.stop();
    for (const { message } of problems) tell(message);
  }
  const { shards, images, texts } = planned;
  const added = queue && (await enqueue(queue, shards, options));
  const seconds = (performance.now() - began) / 1000;
  if (json) printJson({ out, shards, perShard, images, texts, queued: added?.fresh, gone: added?.gone, seconds });
  else {
    const what = `${counted(images, "image")} and ${counted(texts, "text")}`;
    const fresh = added ? `, ${added.fresh} of them new in the queue` : "";
    const news = `${what}${fresh}${added?.gone ? `, ${added.gone} ${gone(options)}` : ""}`;
    print(`${plain(out)}: ${counted(shards, "shard")} of up to ${perShard}: ${news}, in ${duration(seconds)}.`);
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

/** Puts the shards into the queue. A manifest of other contents is another one. */
async function enqueue(queue: ShardQueue, shards: number, options: PlanCommand): Promise<Added> {
  const { model = "demo", vectors = "f32" } = options;
  const manifest = resolve(options.out);
  const files = resolve(options.to ?? manifest.replace(/\.jsonl$/i, "-{}.safetensors"));
  await mkdir(dirname(files), { recursive: true });
  const digest = createHash("sha256");
  for await (const chunk of createReadStream(manifest)) digest.update(chunk);
  const plan = digest.digest("hex");
  const tasks = Array.from({ length: shards }, (_, index): ShardTask => {
    const out = files.replaceAll("{}", `${index}`.padStart(`${shards - 1}`.length, "0"));
    return { plan, sources: [manifest], shard: `${index}/${shards}`, out, model, vectors };
  });
  return queue.add(tasks, options);
}

const gone = ({ again }: PlanCommand) =>
  again
    ? "to be done again since their files are gone"
    : "done whose files are not seen here (--again has them done again)";

function parseTo(files: string): string {
  parseVectorFile(files);
  if (files.includes("{}")) return files;
  throw new InvalidArgumentError("Wanted a name with {} in it, for a shard's number.");
}

function parseOut(path: string): string {
  if (/\.jsonl$/i.test(path)) return path;
  throw new InvalidArgumentError("Wanted a name that ends in .jsonl.");
}
