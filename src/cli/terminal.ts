import { styleText } from "node:util";

/** Columns of the terminal that stdout is; where it is a file or a pipe nothing has to fit, and they are infinite. */
export function columns(): number {
  return process.stdout.isTTY ? process.stdout.columns || 80 : Number.POSITIVE_INFINITY;
}

/** A line on stdout. */
export function print(line = ""): void {
  process.stdout.write(`${line}\n`);
}

/** A warning on stderr. */
export function warn(message: string): void {
  process.stderr.write(`siglip: ${plain(message)}\n`);
}

/** Text in a style where stdout is a terminal with colours (NO_COLOR and TERM=dumb are respected), else as it is. */
export function style(format: "bold" | "dim" | "cyan", text: string): string {
  return process.stdout.isTTY && process.stdout.hasColors() ? styleText(format, text) : text;
}

/** A stranger's text for a terminal: line breaks, escape codes and bidirectional overrides become U+FFFD. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}

const graphemes = new Intl.Segmenter();
const HALF = /^[\uff61-\uffdc]/;
const WIDE =
  /^[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Bopomofo}\p{sc=Yi}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]|\ufe0f/u;

/** How many columns a text takes: two for each CJK character or emoji, none for marks that combine. */
export function width(text: string): number {
  let sum = 0;
  for (const { segment } of graphemes.segment(text)) sum += columnsOf(segment);
  return sum;
}

/** The text, or as much of its beginning as fits into `room` columns together with an ellipsis. */
export function clip(text: string, room: number): string {
  let used = 0;
  let kept = "";
  for (const { segment } of graphemes.segment(text)) {
    used += columnsOf(segment);
    if (used > room) return `${kept}…`;
    if (used < room) kept += segment;
  }
  return text;
}

function columnsOf(grapheme: string): number {
  if (/^[\p{M}\p{Cf}]/u.test(grapheme)) return 0;
  return WIDE.test(grapheme) && !HALF.test(grapheme) ? 2 : 1;
}
