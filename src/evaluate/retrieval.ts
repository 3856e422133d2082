import type { Embeddings } from "../siglip/embeddings.ts";
import { Slice } from "../support/slices.ts";
import { CosineBlocks, cosine } from "./cosines.ts";
import type { Pairs } from "./pairs.ts";
import { countIn, noPlaces, type Places } from "./place.ts";

/** Pictures and captions that are scored together: 1.5 MB of a wide model's, which stays near the processor. */
const ROWS = 32;
const COLUMNS = 128;

/** Places of both directions of retrieval. */
export interface RetrievalPlaces {
  /** Of every caption's own picture among all pictures. */
  readonly images: Places;
  /** Of every picture's best own caption among all captions; its others neither help nor harm. */
  readonly texts: Places;
}

/** Options of `retrievalPlaces`. */
export interface RetrievalOptions {
  /** Takes every pair's cosine, too, and whether the caption is the picture's own. */
  readonly pairs?: Pairs;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Places of pictures [n, dim] and captions [m, dim] among each other, where caption t belongs to picture `owner[t]` and
 * every picture has one. All n x m cosines are made in float64, none is kept: beside the embeddings it takes 12 bytes a
 * picture and a caption.
 */
export async function retrievalPlaces(
  images: Embeddings,
  texts: Embeddings,
  owner: Uint32Array,
  { pairs, onProgress, signal }: RetrievalOptions = {},
): Promise<RetrievalPlaces> {
  const [count, width] = images.shape;
  const [captions] = texts.shape;
  const own = Float64Array.from(owner, (image, text) => cosine(images, image, texts, text));
  const target = bestCaptions(own, owner, count);
  const found = { images: noPlaces(captions), texts: noPlaces(count) };
  const blocks = new CosineBlocks(ROWS, COLUMNS, width);
  const slice = new Slice(signal);
  for (let i = 0; i < count; i += ROWS) {
    const rows = { from: i, to: Math.min(count, i + ROWS) };
    for (let t = 0; t < captions; t += COLUMNS) {
      const columns = { from: t, to: Math.min(captions, t + COLUMNS) };
      const scores = blocks.fill(images, rows, texts, columns);
      let at = 0;
      for (let image = rows.from; image < rows.to; image++) {
        for (let text = columns.from; text < columns.to; text++) {
          const score = scores[at++];
          const matches = owner[text] === image;
          pairs?.add(score, matches);
          if (matches) continue;
          countIn(found.images, text, score, own[text], image < owner[text]);
          countIn(found.texts, image, score, own[target[image]], text < target[image]);
        }
      }
      if (slice.over) await slice.end();
    }
    onProgress?.(rows.to, count);
  }
  return found;
}

/** Of every picture the caption of its own that scores highest, the first of equals. */
function bestCaptions(own: Float64Array, owner: Uint32Array, count: number): Int32Array {
  const best = new Int32Array(count).fill(-1);
  for (const [text, image] of owner.entries()) {
    if (best[image] < 0 || own[text] > own[best[image]]) best[image] = text;
  }
  return best;
}
