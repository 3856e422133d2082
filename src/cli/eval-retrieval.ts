import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { CAPTIONS, type CaptionData, type Captioned, parseCaptions } from "../evaluate/captions.ts";
import { retrievalMetrics } from "../evaluate/metrics.ts";
import { Pairs } from "../evaluate/pairs.ts";
import { retrievalPlaces } from "../evaluate/retrieval.ts";
import { readFile } from "../node/file.ts";
import type { Siglip } from "../node.ts";
import type { Embeddings } from "../siglip/embeddings.ts";
import { SiglipError } from "../support/error.ts";
import { addEvalOptions, checkEvalOptions, type EvalOptions } from "./eval-options.ts";
import { EvalPictures, locate } from "./eval-pictures.ts";
import { finish, type Measured } from "./eval-report.ts";
import { measureAll } from "./eval-runs.ts";
import { Progress } from "./progress.ts";
import { tell } from "./terminal.ts";

interface RetrievalOptions extends EvalOptions {
  readonly split?: string;
}

/** All of COCO's captions are 0.15 GB. */
const LIMIT = 2 ** 29;

/** `siglip eval retrieval`: how often a caption finds its picture, and a picture its caption. */
export function addRetrieval(group: Command, signal: AbortSignal): void {
  const command = group
    .command("retrieval")
    .description("Measure how often captions find their picture and pictures a caption of theirs: R@1, R@5 and R@10.")
    .argument("<data>", "a file of captions, or a folder with captions.jsonl")
    .option("--split <name>", 'the part of the data (default: "test" of Karpathy\'s, else all)');
  addEvalOptions(command).addHelpText(
    "after",
    `
Captions, recognised by their form:
  Karpathy's JSON of Flickr30k and COCO (images with sentences and splits),
  COCO's own (images and annotations), or
  .jsonl: { image, caption or captions } a line.

The protocol is everybody's: of a picture its first ${CAPTIONS} captions; text
to image asks for each caption's own picture, image to text for any of a
picture's captions. Of equal scores the first in the data is first; where
something hangs on that it is told. In brackets stand 95% intervals by the
bootstrap over pictures, and beside the first model differences to it.
Embeddings are held in memory, 4 bytes a value; scores are not.
With --fit every caption is a true pair with its own picture and a false one
with all others.

Example: siglip eval retrieval dataset_flickr30k.json \\
           --images flickr30k-images \\
           --model google/siglip-base-patch16-224 --dtype f16 q8 q4`,
  );
  command.action(async (data: string, options: RetrievalOptions) => {
    await checkEvalOptions(command, options);
    await evaluate(data, options, signal);
  });
}

async function evaluate(data: string, options: RetrievalOptions, signal: AbortSignal): Promise<void> {
  const folder = (await stat(data).catch(() => undefined))?.isDirectory() ?? false;
  const path = folder ? join(data, "captions.jsonl") : data;
  const { pictures, without } = await readCaptions(path, options.split, signal);
  if (without > 0) tell(`${path}: ${without} pictures without captions are left out.`);
  const set = new EvalPictures(await locate(pictures, options.images ?? dirname(path)));
  const { runs, missing } = await measureAll(options, signal, (model) => measure(model, set, options, signal));
  const captions = set.pictures.reduce((sum, picture) => sum + picture.captions.length, 0);
  const size = `${set.pictures.length} pictures, ${captions} captions`;
  const counts = { pictures: set.pictures.length, captions };
  await finish({ data: path, size, counts, set, missing, runs, options }, signal);
}

async function readCaptions(path: string, split: string | undefined, signal: AbortSignal): Promise<CaptionData> {
  return parseCaptions(path, new TextDecoder().decode(await readFile(path, LIMIT, signal)), split);
}

async function measure(
  model: Siglip,
  set: EvalPictures<Captioned>,
  { batch, resamples, seed }: RetrievalOptions,
  signal: AbortSignal,
): Promise<Measured> {
  const { dim } = model;
  const room = new Float32Array(set.pictures.length * dim);
  await set.each(model, { batch, signal }, (embedding, _, index) => room.set(embedding, index * dim));
  const count = set.pictures.length;
  const images = { data: room.subarray(0, count * dim), shape: [count, dim] as const };
  const owner = Uint32Array.from(set.pictures.flatMap(({ captions }, picture) => captions.map(() => picture)));
  const texts = await embedCaptions(model, set.pictures, owner.length, signal);
  const pairs = new Pairs();
  const progress = new Progress("scoring", signal, count);
  try {
    const onProgress = (done: number, total: number) => progress.update(done, total);
    const places = await retrievalPlaces(images, texts, owner, { pairs, onProgress, signal });
    return { metrics: retrievalMetrics(places, owner, { resamples, seed }), pairs };
  } finally {
    progress.stop();
  }
}

/** Captions, one a row. Twins are embedded once, so that they tie to the last digit wherever they stand in a batch. */
async function embedCaptions(
  model: Siglip,
  pictures: readonly Captioned[],
  count: number,
  signal: AbortSignal,
): Promise<Embeddings> {
  const { dim } = model;
  const data = new Float32Array(count * dim);
  const rows = new Map<string, number[]>();
  let row = 0;
  for (const caption of pictures.flatMap(({ captions }) => captions)) {
    const twins = rows.get(caption);
    if (twins) twins.push(row++);
    else rows.set(caption, [row++]);
  }
  const progress = new Progress("captions", signal, rows.size);
  try {
    for await (const { first, items, embeddings } of model.embedStream(rows.keys(), { kind: "text", signal })) {
      for (const [index, embedding] of embeddings.entries()) {
        if (embedding instanceof SiglipError) throw embedding;
        for (const twin of rows.get(items[index])!) data.set(embedding, twin * dim);
      }
      progress.update(first + embeddings.length, rows.size);
    }
  } finally {
    progress.stop();
  }
  return { data, shape: [count, dim] };
}
