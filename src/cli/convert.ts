import { type Command, InvalidArgumentError, Option } from "commander";
import type { WrittenDType } from "../checkpoint/shards.ts";
import { convertFiles } from "../files/convert.ts";
import type { Tower } from "../model/towers.ts";
import { findFiles } from "../node/find.ts";
import { checkNewFolder, writeNewFolder } from "../node/new-folder.ts";
import { bytes, duration } from "../support/units.ts";
import { addCacheOption } from "./model.ts";
import { Progress } from "./progress.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson, tell } from "./terminal.ts";

interface ConvertCommand {
  readonly out: string;
  readonly dtype?: WrittenDType;
  readonly shardSize?: number;
  readonly towers?: readonly Tower[];
  readonly revision?: string;
  readonly token?: string;
  readonly cache?: boolean;
  readonly json?: boolean;
}

/** `siglip convert`: any model as a folder in Hugging Face's layout. */
export function addConvert(program: Command, signal: AbortSignal): void {
  const command = program
    .command("convert")
    .description("Write a model as Hugging Face safetensors: another layout, fewer bytes, one tower.")
    .argument("<model>", "demo, a folder (open_clip's too), an .npz of big_vision, a URL, or org/name of the Hub")
    .requiredOption("--out <folder>", "made by this; what is there already is never replaced")
    .addOption(new Option("--dtype <name>", "of the weights (default: as they are)").choices(["f32", "f16", "bf16"]))
    .option("--shard-size <size>", "most bytes a file, such as 500MB (default: one file)", parseBytes)
    .option("--towers <names>", "image, text or image,text (default: what the model has)", parseTowers)
    .option("--revision <name>", "branch, tag or commit of the Hub (default: main)")
    .option("--token <token>", "access token for the Hub (default: HF_TOKEN, or that of hf auth login)")
    .option("--json", "print JSON");
  addCacheOption(command).addHelpText(
    "after",
    `
The folder has config.json, preprocessor_config.json, the tokenizer's files and
model.safetensors, or shards and their index, and loads in Python and here. It
appears when it is whole. Weights are streamed: memory does not grow with them.
One tower is written as SiglipVisionModel or SiglipTextModel, without the
logits' scale. logit_scale and logit_bias stay f32 in every dtype.
With --json: { model, out, seconds, files: [{ name, size }] }.

Example: siglip convert google/siglip-so400m-patch14-384 --dtype f16 --out mine`,
  );
  command.action((model: string, options: ConvertCommand) => convert(model, options, signal));
}

async function convert(model: string, options: ConvertCommand, signal: AbortSignal): Promise<void> {
  const { out, dtype, shardSize, towers, json, ...where } = options;
  const began = performance.now();
  await checkNewFolder(out);
  const progress = new Progress("converting", signal, 0, bytes);
  const onWarning = (message: string) => {
    progress.pause();
    tell(message);
  };
  const found = await findFiles(model, { ...where, onWarning });
  try {
    const onProgress = (written: number, total: number) => progress.update(written, total);
    const converted = convertFiles(found, { dtype, shardSize, towers, onWarning, onProgress, signal });
    const files = await writeNewFolder(out, converted, signal);
    progress.stop();
    const seconds = (performance.now() - began) / 1000;
    if (json) return printJson({ model, out, seconds, files });
    const size = files.reduce((sum, file) => sum + file.size, 0);
    print(`${plain(out)}: ${files.length} files, ${bytes(size)}, in ${duration(seconds)}.`);
    print(aligned(files.map((file) => [bytes(file.size), plain(file.name)])));
  } finally {
    progress.stop();
    await found.close();
  }
}

/** "500MB", "2 GiB" or bytes. */
function parseBytes(text: string): number {
  const [, number, unit = "", binary] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text.trim()) ?? [];
  const size = Number(number) * (binary ? 1024 : 1000) ** " kmgt".indexOf(unit.toLowerCase() || " ");
  if (size >= 1) return Math.floor(size);
  throw new InvalidArgumentError("Wanted a size such as 500MB.");
}

function parseTowers(text: string): Tower[] {
  const towers = text.split(",").map((name) => name.trim());
  if (towers.every((name) => name === "image" || name === "text")) return [...new Set(towers)] as Tower[];
  throw new InvalidArgumentError("Wanted image, text or image,text.");
}
