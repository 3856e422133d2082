import { type Command, InvalidArgumentError } from "commander";
import { LanceIndex } from "../node/formats/lance-index.ts";
import { duration } from "../support/units.ts";
import { parseCount } from "./model.ts";
import { Progress } from "./progress.ts";
import { plain, print, printJson } from "./terminal.ts";

interface IndexCommand {
  readonly partitions?: number;
  readonly subVectors?: number;
  readonly json?: boolean;
}

/** `siglip index`: an index of a LanceDB table, for searches among more than memory holds. */
export function addIndex(program: Command, signal: AbortSignal): void {
  program
    .command("index")
    .description("Build an index of a LanceDB table, so that siglip search looks into parts of it only.")
    .argument("<table>", "a path or URL that ends in .lance", parseTable)
    .option("--partitions <n>", "how many parts (default: one for each 4096 embeddings)", parseCount)
    .option("--sub-vectors <n>", "bytes that stand for an embedding, a divisor of its width", parseCount)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
The index is LanceDB's IVF-PQ, by cosine. With it siglip search finds nearly all
of the nearest, in a time that hardly grows with the table, and reads only what
it looks at; without, all of the table is read. One that is there already is
replaced.
With --json: { table, embeddings, seconds }.

Example: siglip merge part-*.safetensors --out photos.lance
         siglip index photos.lance`,
    )
    .action((path: string, options: IndexCommand) => build(path, options, signal));
}

function parseTable(path: string): string {
  if (/\.lance[/\\]*$/i.test(path)) return path;
  throw new InvalidArgumentError("Wanted a name that ends in .lance; other files are searched without an index.");
}

async function build(path: string, { json, ...options }: IndexCommand, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  const progress = new Progress("indexing", signal);
  try {
    using index = await LanceIndex.open(path, signal);
    await index.build({ ...options, signal });
    progress.stop();
    const seconds = (performance.now() - began) / 1000;
    if (json) printJson({ table: path, embeddings: index.size, seconds });
    else print(`${plain(path)}: an index of ${index.size} embeddings, in ${duration(seconds)}.`);
  } finally {
    progress.stop();
  }
}
