import type { Command } from "commander";
import { type MergePart, mergeVectors } from "../bulk/merge.ts";
import { ENDINGS } from "../node/formats/formats.ts";
import type { Kind } from "../search/vectors.ts";
import { counted, duration } from "../support/units.ts";
import { Progress } from "./progress.ts";
import { plain, print, printJson } from "./terminal.ts";
import { parseFileOrTable, type VectorFile } from "./vector-file.ts";

interface MergeCommand {
  readonly out: VectorFile;
  readonly partial?: boolean;
  readonly json?: boolean;
}

/** `siglip merge`: the files of shards as one. */
export function addMerge(program: Command, signal: AbortSignal): void {
  const endings = ENDINGS.join(", ");
  program
    .command("merge")
    .description("Join files of embeddings, such as those of shards, into one of any format.")
    .argument("<part...>", `names that end in ${endings}`, parsePart)
    .requiredOption("--out <file>", `a name that ends in ${endings}`, parseFileOrTable)
    .option("--partial", "although shards are missing")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Rows are in the order of the shards, or of the parts where they are none,
pictures first. What stands in two parts, by its name, size and time, is taken
once, from the first, though hardware differs in how it rounds. Refused are
parts of another model, revision, preprocessing, width or dtype, embeddings of
one picture that differ by more, and sets of shards of which some are missing.
Memory: eight bytes a row.
With --json: { out, parts, dim, images, texts, seconds }.

Example: siglip merge part-*.safetensors --out photos.parquet`,
    )
    .action((parts: VectorFile[], options: MergeCommand) => merge(parts, options, signal));
}

async function merge(files: readonly VectorFile[], options: MergeCommand, signal: AbortSignal): Promise<void> {
  const { out, partial, json } = options;
  const began = performance.now();
  await out.format.check(out.path);
  const parts = files.map(
    ({ path, format }): MergePart => ({ name: path, open: (signal) => format.open(path, signal) }),
  );
  const progress = new Progress("merging", signal);
  try {
    const vectors = await mergeVectors(parts, { partial, signal });
    const { counts, width } = vectors.header;
    const kinds = (["image", "text"] as const).filter((kind: Kind) => counts[kind] > 0);
    await out.format.check(out.path, kinds);
    await out.format.write(out.path, vectors, signal);
    progress.stop();
    const seconds = (performance.now() - began) / 1000;
    const { image: images, text: texts } = counts;
    if (json) return printJson({ out: out.path, parts: parts.length, dim: width, images, texts, seconds });
    const what = `${counted(images, "image")} and ${counted(texts, "text")} of ${counted(parts.length, "part")}`;
    print(`${plain(out.path)}: ${what}, ${width} values each, in ${duration(seconds)}.`);
  } finally {
    progress.stop();
  }
}

function parsePart(path: string, before: readonly VectorFile[] = []): VectorFile[] {
  return [...before, parseFileOrTable(path)];
}
