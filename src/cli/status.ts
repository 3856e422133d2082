import type { Command } from "commander";
import { type QueueStatus, ShardQueue } from "../bulk/queue/shard-queue.ts";
import { duration } from "../support/units.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson } from "./terminal.ts";
import { addQueueOptions } from "./work.ts";

interface StatusOptions {
  readonly queue: string;
  readonly name: string;
  readonly retry?: boolean;
  readonly json?: boolean;
}

/** `siglip status`: how far a queue of shards is. */
export function addStatus(program: Command): void {
  const command = addQueueOptions(
    program.command("status").description("Show how far a queue of shards is, how fast it goes and what failed."),
  )
    .option("--retry", "try again what has failed")
    .option("--json", "print JSON");
  command.action(async ({ queue: url, name, retry, json }: StatusOptions) => {
    const queue = await ShardQueue.open(url, name);
    try {
      const retried = retry ? await queue.retry() : 0;
      const status = await queue.status();
      if (json) printJson({ ...status, retried });
      else show(status, retried);
    } finally {
      await queue.close();
    }
  });
}

function show({ counts, workers, rows, skipped, rate, left, failures }: QueueStatus, retried: number): void {
  const { waiting, active, done, failed } = counts;
  if (retried > 0) print(`${retried} tried again`);
  print(
    `${done} of ${waiting + active + done + failed} shards done, ${active} in work by ${workers} workers, ${failed} failed`,
  );
  const pace = rate === undefined ? "" : `, ${rate.toPrecision(3)} a second`;
  const rest = left === undefined || waiting + active === 0 ? "" : `, ${duration(left)} left`;
  print(`${rows} embeddings${skipped > 0 ? `, ${skipped} left out` : ""}${pace}${rest}`);
  if (failures.length > 0) print(aligned(failures.map(({ shard, reason }) => [plain(shard), plain(reason, 500)])));
}
