import { mismatch } from "../support/error.ts";
import { parseJsonText, shown } from "./strangers.ts";

/** A picture and the captions that are its own. */
export interface Captioned {
  /** A path from the folder of pictures, or a URL. */
  readonly image: string;
  readonly captions: readonly string[];
}

/** What a file of captions says. */
export interface CaptionData {
  /** In the file's order. Of a picture's captions the first five: so many the standard protocol takes. */
  readonly pictures: readonly Captioned[];
  /** How many pictures were left out for want of a caption. */
  readonly without: number;
}

/** So many captions of a picture count, as in everybody's figures for Flickr30k and COCO. */
export const CAPTIONS = 5;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads captions in any of the forms that they are published in:
 *
 * - Karpathy's JSON of Flickr30k and COCO: `images` of `{ filename, filepath?, split, sentences: [{ raw }] }`;
 * - COCO's captions: `images` of `{ id, file_name }` and `annotations` of `{ image_id, caption }`;
 * - one JSON object a line, or a JSON list of them: `{ image, caption or captions, split? }`, where the picture may
 *   also be called `file`, `file_name`, `filename` or `path`, and its captions `text` or `texts`; lines of one picture are
 *   joined.
 *
 * `split` takes one part of what names parts; Karpathy's is "test" by default. `name` is the file's, for errors.
 * Throws a SiglipError for anything else.
 */
export function parseCaptions(name: string, text: string, split?: string): CaptionData {
  const rows = readRows(name, text);
  const found = isList(rows) ? plain(name, inSplit(name, rows, split)) : published(name, rows, split);
  const pictures = found
    .filter(({ captions }) => captions.length > 0)
    .map(({ image, captions }) => ({ image, captions: captions.slice(0, CAPTIONS) }));
  if (pictures.length === 0) throw mismatch("bad-input", name, "captions of pictures", "none", "name another file");
  return { pictures, without: found.length - pictures.length };
}

/** A file's list of objects, of lines or not, or its one object that holds lists. */
function readRows(name: string, text: string): readonly Fields[] | Fields {
  const value = parseRows(name, text.replace(/^\ufeff/, ""));
  const rows = Array.isArray(value) ? value : [value];
  const odd = rows.findIndex((row) => Object(row) !== row);
  if (odd < 0) return value as readonly Fields[] | Fields;
  const advice = `write one as { "image": …, "caption": … }`;
  throw mismatch("bad-input", name, `an object as row ${odd + 1}`, shown(rows[odd]), advice);
}

function parseRows(name: string, text: string): unknown {
  const lines = text.split(/\r?\n/);
  const first = lines.findIndex((line) => line.trim() !== "");
  let row: unknown;
  try {
    row = JSON.parse(lines[first]);
  } catch {
    return parseJsonText(name, text); // which tells what is wrong, unless it is one value in many lines
  }
  const { images } = Object(row);
  if (Array.isArray(row) || images !== undefined) return lines.length === first + 1 ? row : parseJsonText(name, text);
  return lines.flatMap((line, index) =>
    line.trim() === "" ? [] : [parseJsonText(`${name}, line ${index + 1}`, line)],
  );
}

function inSplit(name: string, rows: readonly Fields[], split: string | undefined): readonly Fields[] {
  if (split === undefined) return rows;
  const found = rows.filter((row) => row.split === split);
  if (found.length > 0) return found;
  const splits = [...new Set(rows.map((row) => row.split).filter((one) => one !== undefined))].slice(0, 9);
  const there = splits.length > 0 ? splits.map(shown).join(", ") : "no splits";
  throw mismatch("bad-input", name, `pictures of split "${split}"`, there, "name one by --split, or leave it out");
}

function isList(rows: readonly Fields[] | Fields): rows is readonly Fields[] {
  return Array.isArray(rows);
}

function published(name: string, rows: Fields, split: string | undefined): Captioned[] {
  if (Array.isArray(rows.annotations)) return coco(name, rows, split);
  return karpathy(name, inSplit(name, list(name, rows.images, "images"), split ?? "test"));
}

function karpathy(name: string, images: readonly Fields[]): Captioned[] {
  return images.map(({ filepath, filename, sentences }, index) => {
    const where = `${name}, image ${index + 1}`;
    const file = string(where, filename, "filename");
    return {
      image: typeof filepath === "string" && filepath !== "" ? `${filepath}/${file}` : file,
      captions: list(where, sentences, "sentences").map((one) => string(where, one.raw, "a sentence's raw")),
    };
  });
}

function coco(name: string, { images, annotations }: Fields, split: string | undefined): Captioned[] {
  if (split !== undefined) {
    throw mismatch("bad-input", name, "captions with splits", "COCO's, which have none", "leave out --split");
  }
  const captions = new Map<unknown, string[]>();
  const found = list(name, images, "images").map((image, index) => {
    const own: string[] = [];
    if (captions.has(image.id)) {
      const where = `${name}, image ${index + 1}`;
      throw mismatch("bad-input", where, "an id that no other image has", shown(image.id), "mend the file");
    }
    captions.set(image.id, own);
    return { image: string(`${name}, image ${index + 1}`, image.file_name, "file_name"), captions: own };
  });
  for (const [index, { image_id, caption }] of list(name, annotations, "annotations").entries()) {
    const where = `${name}, annotation ${index + 1}`;
    const own = captions.get(image_id);
    if (!own) {
      throw mismatch("bad-input", where, "the image_id of an image", shown(image_id), "mend the file");
    }
    own.push(string(where, caption, "caption"));
  }
  return found;
}

function plain(name: string, rows: readonly Fields[]): Captioned[] {
  const pictures = new Map<string, string[]>();
  for (const [index, row] of rows.entries()) {
    const where = `${name}, row ${index + 1}`;
    const image = string(where, row.image ?? row.file ?? row.file_name ?? row.filename ?? row.path, "image");
    const text = row.captions ?? row.caption ?? row.texts ?? row.text ?? [];
    const captions = (Array.isArray(text) ? text : [text]).map((one) => string(where, one, "caption"));
    const before = pictures.get(image) ?? [];
    for (const caption of captions) before.push(caption);
    pictures.set(image, before);
  }
  return Array.from(pictures, ([image, captions]) => ({ image, captions }));
}

/** A list of objects. */
function list(where: string, value: unknown, what: string): readonly Fields[] {
  const odd = Array.isArray(value) ? value.findIndex((one) => Object(one) !== one) : -1;
  if (Array.isArray(value) && odd < 0) return value;
  const found = odd < 0 ? shown(value) : `${shown((value as unknown[])[odd])} among them`;
  throw mismatch("bad-input", where, `a list of ${what}`, found, "see siglip eval retrieval --help for the forms");
}

function string(where: string, value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw mismatch(
    "bad-input",
    where,
    `${what} as a string`,
    shown(value),
    "see siglip eval retrieval --help for the forms",
  );
}
