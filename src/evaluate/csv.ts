import { mismatch } from "../support/error.ts";

/** Fields that begin as a formula does: a spreadsheet would run them. */
const FORMULA = /^[=+\-@\t\r]/;

/** Rows of a CSV file [RFC 4180], its line ends of any kind; empty lines are left out. `name` is for errors. */
export function parseCsv(name: string, text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|\r|$)/y;
  const whole = text.replace(/^\ufeff/, "");
  while (field.lastIndex < whole.length || row.length > 0) {
    const match = field.exec(whole);
    if (!match) {
      const advice = "double the quotes in a field, and close them before a comma";
      throw mismatch("bad-input", `${name}, row ${rows.length + 1}`, "fields of CSV", "a stray quote", advice);
    }
    const [, quoted, bare, end] = match;
    row.push(quoted?.replaceAll('""', '"') ?? bare);
    if (end === ",") continue;
    if (row.length > 1 || row[0] !== "" || quoted !== undefined) rows.push(row);
    row = [];
  }
  return rows;
}

/**
 * Rows as CSV with line ends as RFC 4180 wants them. A text that a spreadsheet would run as a formula gets a quote
 * before it.
 */
export function formatCsv(rows: readonly (readonly (string | number)[])[]): string {
  const shown = (field: string | number) => {
    if (typeof field === "number") return Number.isNaN(field) ? "" : String(field);
    const safe = FORMULA.test(field) ? `'${field}` : field;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(shown).join(",")}\r\n`).join("");
}
