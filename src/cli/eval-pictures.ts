import { stat } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import type { Siglip } from "../node.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import { Progress } from "./progress.ts";
import { tell } from "./terminal.ts";

/** Bad pictures that are named; the others are counted. */
const NAMED = 20;

/** Pictures that are looked for before a model is loaded. */
const PROBES = 10;

/** Pictures that are embedded by one model after another, all of them by all. */
export class EvalPictures<Picture extends { readonly image: string }> {
  /** At first all; after the first model those that can be read. */
  pictures: readonly Picture[];
  /** What is wrong with the others. */
  readonly failed: SiglipError[] = [];
  private known = false;

  constructor(pictures: readonly Picture[]) {
    this.pictures = pictures;
  }

  /**
   * Embeds them in their order and gives each to `take`, numbered without gaps. The first model leaves out those that
   * cannot be read; later a picture that cannot rejects, for models are compared on the same ones.
   */
  async each(
    model: Siglip,
    { batch, signal }: { readonly batch?: number; readonly signal: AbortSignal },
    take: (embedding: Float32Array, picture: Picture, index: number) => void,
  ): Promise<void> {
    const progress = new Progress("pictures", signal, this.pictures.length);
    const sound: Picture[] = [];
    try {
      const paths = this.pictures.map(({ image }) => image);
      for await (const { first, embeddings } of model.embedStream(paths, { batch, signal })) {
        for (const [index, embedding] of embeddings.entries()) {
          if (embedding instanceof SiglipError) {
            if (this.known) throw embedding;
            this.failed.push(embedding);
          } else {
            const picture = this.pictures[first + index];
            take(embedding, picture, sound.length);
            sound.push(picture);
          }
        }
        progress.update(first + embeddings.length, this.pictures.length);
      }
    } finally {
      progress.stop();
    }
    if (sound.length === 0) throw this.failed[0];
    this.pictures = sound;
    this.known = true;
  }

  /** Names what was left out. */
  tellFailed(): void {
    for (const { message } of this.failed.slice(0, NAMED)) tell(message);
    if (this.failed.length > NAMED) tell(`${this.failed.length - NAMED} more pictures are no good.`);
  }

  /** The error that says so in the end, undefined where nothing was left out. */
  incomplete(data: string): SiglipError | undefined {
    const [bad, sound] = [this.failed.length, this.pictures.length];
    if (bad === 0) return undefined;
    const advice = "mend those named above or leave them out";
    return mismatch("bad-input", data, `${bad + sound} pictures that can be read`, `${sound}`, advice);
  }
}

/**
 * The same pictures by paths that begin in `folder`, URLs apart. Where they do not lie as the data say, but by their
 * last names alone in that folder, that is how they are taken. Rejects with a SiglipError where none of the first few
 * is there.
 */
export async function locate<Picture extends { readonly image: string }>(
  pictures: readonly Picture[],
  folder: string,
): Promise<Picture[]> {
  const isUrl = ({ image }: Picture) => /^https?:/i.test(image);
  const probes = pictures.filter((picture) => !isUrl(picture)).slice(0, PROBES);
  const within = (image: string) => (isAbsolute(image) ? image : join(folder, image));
  for (const path of [within, (image: string) => join(folder, basename(image))]) {
    const there = await Promise.all(probes.map(({ image }) => isFile(path(image))));
    if (probes.length > 0 && !there.includes(true)) continue;
    return pictures.map((picture) => (isUrl(picture) ? picture : { ...picture, image: path(picture.image) }));
  }
  const advice = "name the folder of the pictures by --images";
  throw mismatch("not-found", folder, `${probes[0].image} in it`, "no such file", advice);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
