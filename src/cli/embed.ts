import { type Command, InvalidArgumentError } from "commander";
import { ENDINGS, type Format, formatOf } from "../node/formats/formats.ts";
import type { Siglip } from "../node.ts";
import { type Embedded, type Items, vectorsOf } from "../search/embedded.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import { duration } from "../support/units.ts";
import { readLines } from "./lines.ts";
import { addModelOption, addRunOptions, checkPictures, openModel, type RunOptions } from "./model.ts";
import { Progress } from "./progress.ts";
import { plain, print, printJson, tell } from "./terminal.ts";

interface EmbedOptions extends RunOptions {
  readonly text?: readonly string[];
  readonly texts?: string;
  readonly out: { readonly path: string; readonly format: Format };
}

/** `siglip embed`: vectors of pictures and texts into a file. */
export function addEmbed(program: Command, signal: AbortSignal): void {
  const command = program
    .command("embed")
    .description("Write the embeddings of pictures and texts, vectors of length 1, into a file.")
    .argument("[image...]", "PNG or JPEG pictures: paths or URLs")
    .option("--text <string>", "a text; repeatable", (text: string, before: readonly string[] = []) => [
      ...before,
      text,
    ])
    .option("--texts <file>", "a UTF-8 file of texts, one a line, after those of --text; - is stdin")
    .requiredOption("--out <file>", `a name that ends in ${ENDINGS.join(", ")}`, parseOut);
  addRunOptions(addModelOption(command)).addHelpText(
    "after",
    `
What is written, float32, a row for each picture or text in the order given:
  .safetensors  image_embeds and text_embeds [n, dim]; in the metadata,
                images and texts: their names, as JSON lists
  .jsonl        one { kind: "image" | "text", name, embedding } a line
  .npy          either pictures or texts [n, dim]; for vectors.npy the
                names are written to vectors.names.json
  .parquet      columns kind, name, stamp and embedding, a list of floats
The file is put in place when it is whole. A picture that cannot be read costs the
others nothing: it is named, and the exit code is 1. --json prints a summary.

Example: siglip embed *.jpg --texts captions.txt --out photos.safetensors`,
  );
  command.action((images: string[], options: EmbedOptions) => {
    const texts = options.text !== undefined || options.texts !== undefined;
    if (images.length === 0 && !texts) command.error("error: wanted pictures, --text or --texts, found none of them");
    if (images.length > 0 && texts && options.out.format.ending === ".npy") {
      command.error("error: wanted pictures or texts for .npy, found both; write two files, or .safetensors or .jsonl");
    }
    return embed(images, options, signal);
  });
}

function parseOut(path: string): EmbedOptions["out"] {
  const format = formatOf(path);
  if (format) return { path, format };
  throw new InvalidArgumentError(`Wanted a name that ends in ${ENDINGS.join(", ")}.`);
}

async function embed(images: readonly string[], options: EmbedOptions, signal: AbortSignal): Promise<void> {
  const { path, format } = options.out;
  const began = performance.now();
  const lines = options.texts === undefined ? [] : await readLines(options.texts, signal);
  const both: Items[] = [
    { kind: "image", names: images },
    { kind: "text", names: [...(options.text ?? []), ...lines] },
  ];
  const items = both.filter(({ names }) => names.length > 0);
  await format.check(
    path,
    items.map(({ kind }) => kind),
  );
  if (images.length === 1) await checkPictures(images);

  const towers = items.map(({ kind }) => kind);
  const model = await openModel(options, towers, signal);
  const parts: Embedded[] = [];
  const failed: SiglipError[] = [];
  try {
    for (const item of items) parts.push(await run(model, item, failed, signal));
  } finally {
    model.dispose();
  }
  const made = parts.filter(({ names }) => names.length > 0);
  const last = made.length === 0 ? failed.pop() : undefined;
  for (const { message } of failed) tell(message);
  if (last) throw last;
  await format.write(path, vectorsOf(made, model.dim), signal);
  report(model, options, made, (performance.now() - began) / 1000);
  if (failed.length === 0) return;
  const sound = made.reduce((sum, { names }) => sum + names.length, 0);
  const found = `${sound}, for those named above are no good`;
  throw mismatch(
    "bad-input",
    path,
    `embeddings of all ${sound + failed.length}`,
    found,
    "mend these or leave them out",
  );
}

/** Embeds one kind, item by item as far as they are sound; what is wrong with the others comes after those before it. */
async function run(
  model: Siglip,
  { kind, names }: Items,
  failed: SiglipError[],
  signal: AbortSignal,
): Promise<Embedded> {
  const progress = new Progress(`${kind}s`, signal, names.length);
  const onProgress = (done: number, total: number) => progress.update(done, total);
  const options = { signal, onProgress, onError: "skip" } as const;
  try {
    const embeddings = await (kind === "image" ? model.embedImages(names, options) : model.embedTexts(names, options));
    const bad = new Set(embeddings.skipped!.map(({ index }) => index));
    failed.push(...embeddings.skipped!.map(({ error }) => error));
    return { kind, names: names.filter((_, index) => !bad.has(index)), embeddings };
  } finally {
    progress.stop();
  }
}

function report({ device, dim }: Siglip, options: EmbedOptions, items: readonly Items[], seconds: number): void {
  const { model, json, out } = options;
  const [images, texts] = ["image", "text"].map((kind) => items.find((item) => item.kind === kind)?.names.length ?? 0);
  if (json) printJson({ out: out.path, model, ...device, dim, images, texts, seconds });
  else {
    const counts = items.map(({ kind, names }) => `${names.length} ${kind}${names.length === 1 ? "" : "s"}`);
    const what = `${counts.join(" and ")}, ${dim} values each`;
    print(`${plain(out.path)}: ${what}, in ${duration(seconds)} on ${device.backend} with ${device.dtype} weights.`);
  }
}
