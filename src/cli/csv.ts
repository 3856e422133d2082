/** What makes a spreadsheet take a cell for a formula, full-width forms too. [OWASP, CSV injection] */
const FORMULA = /^[=+\-@\t\r\n|%\uff0b\uff0d\uff1d\uff20]/;

/**
 * Cells as a line of CSV [RFC 4180]. A text that a spreadsheet would calculate has an apostrophe put before it; numbers
 * are as they are, and undefined leaves a cell empty.
 */
export function csvLine(cells: readonly (string | number | undefined)[]): string {
  return `${cells.map((cell) => (typeof cell === "string" ? csvText(cell) : (cell ?? ""))).join(",")}\r\n`;
}

function csvText(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  // Quoted wherever another separator or an inner formula could be read out of it.
  return /^[\p{L}\p{N}/\\._:-][\p{L}\p{N}/\\._: -]*$/u.test(safe) && !/ $/.test(safe)
    ? safe
    : `"${safe.replaceAll('"', '""')}"`;
}
