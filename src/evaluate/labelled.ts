import { mismatch } from "../support/error.ts";
import { parseCsv } from "./csv.ts";
import { parseJsonText, shown } from "./strangers.ts";

/** A picture and its class as the data name them. */
export interface Labelled {
  readonly image: string;
  readonly label: string;
}

/** Classes in order: as the data name them, and as they are put into sentences. */
export interface Classes {
  readonly keys: readonly string[];
  readonly names: readonly string[];
}

const IMAGE = /^(image|path|file|file_?name|filepath|image_path)$/i;
const LABEL = /^(label|class|class_?name|category)$/i;

/**
 * Pictures and labels of a CSV: two columns, or those that a first row calls by names such as `path` and `label`.
 * Spaces around them do not count. Throws a SiglipError for a row that lacks one.
 */
export function parseLabelled(name: string, text: string): Labelled[] {
  const rows = parseCsv(name, text);
  const head = rows[0] ?? [];
  let columns = [head.findIndex((cell) => IMAGE.test(cell.trim())), head.findIndex((cell) => LABEL.test(cell.trim()))];
  const named = columns.every((column) => column >= 0);
  if (named) rows.shift();
  else columns = [0, 1];
  const [image, label] = columns;
  const pictures = rows.map((row, index) => {
    // People write "a.jpg, cat", which must not be another class than "cat".
    const found = { image: row[image]?.trim(), label: row[label]?.trim() };
    if (found.image && found.label) return found;
    const where = `${name}, row ${index + (named ? 2 : 1)}`;
    throw mismatch("bad-input", where, "a path and a label", shown(row.join(",")), "add it");
  });
  if (pictures.length === 0) throw mismatch("bad-input", name, "rows of path and label", "none", "write some");
  return pictures;
}

/**
 * The classes of labelled pictures, sorted by their keys: each is called by its key, with spaces for underscores,
 * unless a JSON text gives other names: an object from keys to names, which may hold classes that no picture is of,
 * or a list of names in the order of the sorted keys. Throws a SiglipError for names that do not fit, and for less
 * than two classes.
 */
export function nameClasses(
  labels: Iterable<string>,
  names?: { readonly file: string; readonly text: string },
): Classes {
  const found = [...new Set(labels)].sort();
  const classes = names ? named(found, names.file, names.text) : { keys: found, names: found.map(spaced) };
  if (classes.keys.length < 2) {
    throw mismatch("bad-input", "classes", "at least two", `${classes.keys.length}`, "name others by --classes");
  }
  return classes;
}

function spaced(key: string): string {
  return key.replaceAll("_", " ");
}

function named(found: readonly string[], file: string, text: string): Classes {
  const value = parseJsonText(file, text);
  const list = Array.isArray(value);
  if (Object(value) !== value || !Object.values(value as object).every((one) => typeof one === "string")) {
    throw mismatch("bad-input", file, "names of classes", "other values", `write { "key": "name" } or a list of names`);
  }
  const entries: [string, string][] = list
    ? (value as string[]).map((name, index) => [found[index], name])
    : Object.entries(value as Record<string, string>).sort(([a], [b]) => (a < b ? -1 : 1));
  if (list && entries.length !== found.length) {
    const advice = `write an object { "key": "name" }, or a name for each`;
    throw mismatch("bad-input", file, `${found.length} names, one a class`, `${entries.length}`, advice);
  }
  const keys = entries.map(([key]) => key);
  const lacking = found.find((key) => !keys.includes(key));
  if (lacking !== undefined) {
    throw mismatch("bad-input", file, `a name for ${shown(lacking)}`, "none", "add it");
  }
  return { keys, names: entries.map(([, name]) => name) };
}
