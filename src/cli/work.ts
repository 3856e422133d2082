import { type Command, InvalidArgumentError } from "commander";
import { Failures } from "../bulk/failures.ts";
import type { ShardDone, ShardTask } from "../bulk/queue/shard-queue.ts";
import { type DoShard, work } from "../bulk/queue/work.ts";
import { parseShard } from "../bulk/shard.ts";
import { formatOf } from "../node/formats/formats.ts";
import { mismatch } from "../support/error.ts";
import { duration } from "../support/units.ts";
import { EmbedModels } from "./embed-models.ts";
import { embedSources } from "./embed-sources.ts";
import { addCacheOption, addRunOptions, type RunOptions } from "./model.ts";
import { harmless, plain, print, tell } from "./terminal.ts";

interface WorkOptions extends Omit<RunOptions, "model"> {
  readonly queue: string;
  readonly name: string;
  readonly lock: number;
  readonly untilEmpty?: boolean;
}

/** The option of every command that asks a queue. */
export function addQueueOptions(command: Command): Command {
  return command
    .requiredOption("--queue <url>", "a Redis that keeps the queue: redis://host:port")
    .option("--name <name>", "of the queue, where one Redis keeps several", parseQueueName, "siglip");
}

/** A colon parts the words of a key in Redis. */
export function parseQueueName(name: string): string {
  if (name !== "" && !name.includes(":")) return name;
  throw new InvalidArgumentError("Wanted a name without colons.");
}

/** `siglip work`: shards of a queue, one after another. */
export function addWork(program: Command, signal: AbortSignal): void {
  const command = addQueueOptions(
    program.command("work").description("Embed the shards that a queue hands out, one after another."),
  )
    .option("--lock <seconds>", "how long a worker may be silent before its shard goes to another", parseSeconds, 30)
    .option("--until-empty", "end when nothing is left to do, instead of waiting for more");
  addRunOptions(addCacheOption(command)).addHelpText(
    "after",
    `
siglip plan --queue fills the queue, siglip status shows how it does. Each shard
becomes one file. A worker that dies costs nothing: another goes on where it
was. A shard that fails is tried three times and then left, with its reason.
Ctrl-C or SIGTERM gives the shard in work back. Needs the packages bullmq and
ioredis.

Example: siglip work --queue redis://10.0.0.5 --backend webgpu`,
  );
  command.action(async (options: WorkOptions) => {
    const shards = new Shards(options, signal);
    const { queue, name, lock, untilEmpty = false } = options;
    const settings = {
      name,
      lock,
      untilEmpty,
      signal,
      onShard: (shard: Names, outcome: ShardDone | Error) => say(shard, outcome, options.json),
    };
    try {
      const { failed } = await work(queue, settings, shards.run);
      signal.throwIfAborted();
      if (failed > 0)
        throw mismatch(
          "bad-input",
          "siglip work",
          "every shard done",
          `${failed} tries that failed`,
          "see siglip status",
        );
    } finally {
      shards.dispose();
    }
  });
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds >= 1 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("Wanted a number of seconds from 1.");
}

/** Embeds shards; a model stays loaded from one to the next. A shard of which nothing can be read rejects. */
export class Shards {
  private readonly options: WorkOptions;
  private readonly signal: AbortSignal;
  private loaded: { readonly name: string; readonly models: EmbedModels } | undefined;

  constructor(options: WorkOptions, signal: AbortSignal) {
    this.options = options;
    this.signal = signal;
  }

  readonly run: DoShard = async (task, onProgress, signal) => {
    try {
      return await this.embed(task, onProgress, signal);
    } catch (error) {
      // A model that did not load, or not whole, is no model for the next shard.
      this.dispose();
      throw error;
    }
  };

  private async embed(...[task, onProgress, signal]: Parameters<DoShard>): Promise<ShardDone> {
    const began = performance.now();
    const format = formatOf(task.out);
    if (!format)
      throw mismatch("bad-input", task.out, "a file of embeddings", "another ending", "plan the shards again");
    const problems = new Failures();
    const { counts, failures } = await embedSources({
      ...{ words: task.sources, texts: [], shard: parseShard(task.shard), models: this.modelsOf(task) },
      ...{ out: { path: task.out, format }, vectors: task.vectors, signal },
      problems,
      onProgress: (done, _made, total) => onProgress({ done, total }),
    });
    const reasons = [...problems.messages, ...failures.messages].slice(0, 10);
    const failed = failures.count + problems.count;
    // Rather this worker's disk or folder than the pictures: another worker, or another day, may find them.
    if (failed > 0 && counts.image + counts.text === 0) {
      const advice = "see that workers find what was planned, then siglip status --retry";
      throw mismatch("bad-input", task.out, "a shard of which some can be read", `none (${reasons[0]})`, advice);
    }
    return { rows: counts.image + counts.text, failed, reasons, seconds: (performance.now() - began) / 1000 };
  }

  dispose(): void {
    this.loaded?.models.dispose();
    this.loaded = undefined;
  }

  private modelsOf({ model }: ShardTask): EmbedModels {
    if (this.loaded?.name !== model) {
      this.dispose();
      this.loaded = { name: model, models: new EmbedModels({ ...this.options, model }, [], this.signal) };
    }
    return this.loaded!.models;
  }
}

/** What a shard is called. */
type Names = Pick<ShardTask, "shard" | "out">;

/** Tells what became of a shard, a line each. */
function say({ out, shard }: Names, outcome: ShardDone | Error, json?: boolean): void {
  if (json) {
    const result = outcome instanceof Error ? { error: outcome.message } : outcome;
    print(harmless(JSON.stringify({ out, shard, ...result })));
  } else if (outcome instanceof Error) tell(`shard ${shard}: ${outcome.message}`);
  else {
    const bad = outcome.failed > 0 ? `, ${outcome.failed} left out` : "";
    print(`${plain(out)}: ${outcome.rows} embeddings${bad}, in ${duration(outcome.seconds)}.`);
  }
}
