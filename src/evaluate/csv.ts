import { mismatch } from "../support/error.ts";

/** Rows of a CSV file [RFC 4180], its line ends of any kind; empty lines are left out. `name` is for errors. */
export function parseCsv(name: string, text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const whole = text.replace(/^\ufeff/, "");
  for (let at = 0; at < whole.length || row.length > 0; ) {
    const quoted = whole[at] === '"';
    const end = quoted ? endOfQuotes(whole, at) : endOf(whole, at, BARE);
    const next = endOf(whole, end, SEPARATOR);
    if (end < 0 || (next === end && end < whole.length)) {
      const advice = "double the quotes in a field, and close them before a comma";
      throw mismatch("bad-input", `${name}, row ${rows.length + 1}`, "fields of CSV", "a stray quote", advice);
    }
    row.push(quoted ? whole.slice(at + 1, end - 1).replaceAll('""', '"') : whole.slice(at, end));
    at = next;
    if (whole[end] === ",") continue;
    if (row.length > 1 || row[0] !== "" || quoted) rows.push(row);
    row = [];
  }
  return rows;
}

const BARE = /[^",\r\n]*/y;
const SEPARATOR = /(?:,|\r?\n|\r)?/y;

/** Where a match that begins at a place ends. */
function endOf(text: string, at: number, pattern: RegExp): number {
  pattern.lastIndex = at;
  return at + (pattern.exec(text)?.[0].length ?? 0);
}

/** Where a field ends that begins with a quote, -1 where nothing closes it. Fields may be too long for a pattern. */
function endOfQuotes(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1); quote >= 0; quote = text.indexOf('"', quote + 2)) {
    if (text[quote + 1] !== '"') return quote + 1;
  }
  return -1;
}
