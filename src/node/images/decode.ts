import { decodeBy } from "../../image/own-decoder.ts";
import { type Patches, type Recipe, toPatches } from "../../image/patches.ts";
import { checkPixels, type DecodeOptions, MAX_PIXELS, type Pixels } from "../../image/pixels.ts";
import { decodePng } from "../../image/png.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import { inflateByZlib } from "./inflate.ts";
import { kindOf, unknownKind } from "./kinds.ts";
import { codecOf } from "./packages.ts";
import * as pool from "./pool.ts";
import type { PictureFile } from "./thread.ts";

/**
 * The picture in a file, as PIL reads it for Hugging Face's processors (`load_image`: EXIF orientation applied, RGB). Throws a
 * SiglipError for a kind of file that is not read, named by its first bytes, and for a damaged, truncated or oversized picture (limits:
 * `MAX_PIXELS`, `MAX_SIDE`). `name` begins the message.
 */
export async function decode(bytes: Uint8Array, name = "the picture", options: DecodeOptions = {}): Promise<Pixels> {
  return told(name, `${bytes.length} bytes`, options.signal, async () => {
    if (options.decode) return checkPixels(await decodeBy(options.decode, bytes, name, options.signal), name);
    const picture = fileOf(bytes, name, options);
    if (picture.kind === "png") return decodePng(bytes, name, options, inflateByZlib);
    return pool.run({ picture }, options.signal);
  });
}

/** What `toPatches` makes of that picture, decoded and resized beside the caller's thread where that pays. Throws as `decode` does. */
export async function prepare(
  bytes: Uint8Array,
  name: string | undefined,
  recipe: Recipe,
  options: DecodeOptions,
): Promise<Patches> {
  const { signal } = options;
  if (options.decode) return preparePixels(await decode(bytes, name, options), recipe, signal);
  const picture = fileOf(bytes, name ?? "the picture", options);
  return told(picture.name, `${bytes.length} bytes`, signal, async () => {
    if (picture.kind !== "png") return pool.run({ picture, recipe }, signal);
    return light(
      async () => toPatches(await decodePng(bytes, picture.name, options, inflateByZlib), recipe),
      () => pool.run({ picture, recipe }, signal),
    );
  });
}

/** The same of pixels. */
export async function preparePixels(picture: Pixels, recipe: Recipe, signal?: AbortSignal): Promise<Patches> {
  return told("the picture", `${picture.width} x ${picture.height}`, signal, () =>
    light(
      () => toPatches(picture, recipe),
      () => pool.run({ picture, recipe }, signal),
    ),
  );
}

/** Work without a codec is done here, unless threads run already or so much of it comes at once that one pays. */
const HERE = 3;
let here = 0;

async function light<T>(work: () => Promise<T>, inThread: () => Promise<T>): Promise<T> {
  if (here >= HERE || pool.started() > 0) return inThread();
  here++;
  try {
    return await work();
  } finally {
    here--;
  }
}

function fileOf(bytes: Uint8Array, name: string, { maxPixels = MAX_PIXELS }: DecodeOptions): PictureFile {
  const kind = kindOf(bytes);
  if (!kind) throw unknownKind(bytes, name);
  return { bytes, kind, name, maxPixels, codec: codecOf(kind, name) };
}

/** Runs work, and makes one sentence of what the runtime says against it. */
async function told<T>(
  name: string,
  size: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof SiglipError || signal?.aborted) throw cause;
    const wanted = `to decode a picture of ${size}`;
    const advice = "free memory or scale the picture down";
    throw mismatch("out-of-memory", name, wanted, `"${(cause as Error).message}"`, advice, cause);
  }
}
