import type { Ranked } from "../siglip/classifier.ts";
import { clip, columns, plain, style, width } from "./terminal.ts";

/**
 * One picture's labels under its name, a line each: bar, probability, label. Only on a terminal are long labels cut.
 */
export function rankedTable(title: string, ranked: readonly Ranked[]): string {
  const size = Math.min(24, Math.max(4, Math.floor((columns() - 12) / 3)));
  const room = columns() - size - 12;
  const lines = ranked.map(({ label, probability }) => {
    const shown = label === "" ? '""' : clip(plain(label, Number.POSITIVE_INFINITY), room);
    return `  ${style("cyan", bar(probability, size))} ${percent(probability)}  ${shown}`;
  });
  return [style("bold", plain(title)), ...lines].join("\n");
}

/** A part of one as a bar of `size` columns, drawn in eighths of a column; `rest` fills what is left. */
export function bar(part: number, size: number, rest = " "): string {
  const eighths = Math.round(part * size * 8);
  return ("█".repeat(eighths >> 3) + ["", ..."▏▎▍▌▋▊▉"][eighths & 7]).padEnd(size, rest);
}

function percent(probability: number): string {
  const shown = probability > 0 && probability < 0.0005 ? "<0.1" : (100 * probability).toFixed(1);
  return `${shown.padStart(5)} %`;
}

/** Rows of cells in aligned columns, the first cell of each dimmed. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.slice(0, -1).entries()) widths[at] = Math.max(widths[at] ?? 0, width(cell));
  }
  return rows
    .map(([head, ...rest]) => {
      const pad = (cell: string, at: number) => cell + " ".repeat(Math.max(0, (widths[at] ?? 0) - width(cell)));
      return [style("dim", pad(head, 0)), ...rest.map((cell, at) => pad(cell, at + 1))].join("  ").trimEnd();
    })
    .join("\n");
}
