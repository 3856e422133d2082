import { styleText } from "node:util";
import stringWidth from "string-width";

/** Columns of the terminal that stdout is; where it is a file or a pipe nothing has to fit, and they are infinite. */
export function columns(): number {
  return process.stdout.isTTY ? process.stdout.columns || 80 : Number.POSITIVE_INFINITY;
}

/** A line on stdout. */
export function print(line = ""): void {
  process.stdout.write(`${line}\n`);
}

/** A value as JSON on stdout, in which nothing steers a terminal: what is unsafe in `plain` is written `\u…`. */
export function printJson(value: unknown): void {
  print(harmless(JSON.stringify(value, undefined, 2)));
}

/** JSON, of one value or a line each, in which nothing steers a terminal; it means what it meant. */
export function harmless(json: string): string {
  return json.replace(UNSAFE, (found) => (found === "\n" ? found : escaped(found)));
}

/**
 * Writes a line of data that is not JSON, with its end, to stdout, and waits for whoever reads it: as it is, but on a
 * terminal nothing in it steers that.
 */
export async function printData(line: string): Promise<void> {
  const shown = process.stdout.isTTY ? `${plain(line.trimEnd(), Number.POSITIVE_INFINITY)}\n` : line;
  if (process.stdout.write(shown)) return;
  await new Promise((resolve) => process.stdout.once("drain", resolve));
}

/** A message on stderr: an error or a warning, in which strangers' names may stand. */
export function tell(message: string): void {
  process.stderr.write(`siglip: ${plain(message, MESSAGE)}\n`);
}

/** Text in a style where stdout is a terminal with colours (NO_COLOR and TERM=dumb are respected), else as it is. */
export function style(format: "bold" | "dim" | "cyan", text: string): string {
  return process.stdout.isTTY && process.stdout.hasColors() ? styleText(format, text) : text;
}

/** Most characters of a stranger's name, and of a message, that are shown. */
const NAME = 200;
const MESSAGE = 2000;

/** What steers a terminal, breaks a line or changes the direction of writing, and halves of characters. */
const UNSAFE = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * A stranger's text for a terminal: what would steer it is written as `\u001b`; of a long one the middle is left out.
 */
export function plain(text: string, most = NAME): string {
  if (text.length <= most) return text.replace(UNSAFE, escaped);
  const begin = text.slice(0, Math.ceil((most * 2) / 3)).replace(/[\ud800-\udbff]$/, "");
  const end = text.slice(-Math.floor(most / 3)).replace(/^[\udc00-\udfff]/, "");
  return `${begin}…${end}`.replace(UNSAFE, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

const graphemes = new Intl.Segmenter();

/** How many columns a text takes: two for each CJK character or emoji, none for marks that combine. */
export const width = (text: string): number => stringWidth(text);

/** The text, or as much of its beginning as fits into `room` columns together with an ellipsis. */
export function clip(text: string, room: number): string {
  let used = 0;
  let kept = "";
  for (const { segment } of graphemes.segment(text)) {
    used += width(segment);
    if (used > room) return `${kept}…`;
    if (used < room) kept += segment;
  }
  return text;
}
