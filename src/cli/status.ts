import type { Command } from "commander";
import { type QueueStatus, ShardQueue } from "../bulk/queue/shard-queue.ts";
import { counted, duration } from "../support/units.ts";
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
      else for (const line of statusLines(status, retried)) print(line);
    } finally {
      await queue.close();
    }
  });
}

/** How a queue does, in words; `retried` shards were put back just now. */
export function statusLines(status: QueueStatus, retried: number): string[] {
  const { counts, workers, rows, skipped, rate, left, failures } = status;
  const { waiting, active, done, failed } = counts;
  const all = waiting + active + done + failed;
  const pace = rate === undefined ? "" : `, ${rate < 100 ? rate.toPrecision(3) : Math.round(rate)} a second`;
  const rest = left === undefined || waiting + active === 0 ? "" : `, ${duration(left)} left`;
  const table = failures.map(({ shard, tries, reason }) => [
    ...[plain(shard), tries === 1 ? "1 try" : `${tries} tries`, plain(reason, 500)],
  ]);
  return [
    ...(retried > 0 ? [`${retried} tried again`] : []),
    `${done} of ${all} shards done, ${active} in work by ${counted(workers, "worker")}, ${failed} failed`,
    `${rows} embeddings${skipped > 0 ? `, ${skipped} left out` : ""}${pace}${rest}`,
    ...(failures.length > 0 ? [aligned(table)] : []),
  ];
}
