import { bytes } from "../support/units.ts";
import { readPackageFile } from "./package-file.ts";
import { aligned } from "./table.ts";
import { columns, style, width } from "./terminal.ts";

/** What others publish of a checkpoint, each figure in percent. */
interface Published {
  /** A key of the manifest's sources. */
  readonly source: string;
  readonly imageNetTop1: number;
  readonly cocoTextToImage: number;
  readonly cocoImageToText: number;
}

/** `weights/manifest.json`: the published checkpoints. */
export interface Manifest {
  readonly sources: Readonly<Record<string, { readonly title: string; readonly urls: readonly string[] }>>;
  readonly checkpoints: readonly {
    readonly id: string;
    readonly parameters: { readonly image: number; readonly text: number; readonly table: number };
    readonly defaults: { readonly pixels: number | null; readonly tokens: number; readonly dim: number };
    readonly published: Published | null;
  }[];
}

/** The published checkpoints, as the package lists them. */
export function readManifest(): Manifest {
  return JSON.parse(readPackageFile("weights/manifest.json"));
}

/** Columns that are shown, the most that fit: all, all but parameters, or what one chooses a checkpoint by. */
const CHOICES = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  [0, 2, 3, 4, 5, 6, 7, 8, 9],
  [0, 2, 3, 6, 9],
] as const;

/** A line for each checkpoint, and where its figures come from; `room` is how wide it may be. */
export function showManifest({ checkpoints, sources }: Manifest, room = columns()): string {
  const keys = Object.keys(sources);
  const head = ["", "image + text + token table", "as f32", "pictures", "texts", "dim", "ImageNet", "T→I", "I→T", ""];
  const rows = checkpoints.map(({ id, parameters, defaults, published }) => {
    const counts = [parameters.image, parameters.text, parameters.table];
    const size = 4 * counts.reduce((sum, count) => sum + count);
    const figures = [published?.imageNetTop1, published?.cocoTextToImage, published?.cocoImageToText];
    return [
      id,
      counts.map((count) => `${(count / 1e6).toFixed(1).padStart(6)} M`).join(" + "),
      bytes(size),
      defaults.pixels === null ? "any shape" : `${defaults.pixels} px`,
      `${defaults.tokens} tokens`,
      `${defaults.dim}`,
      ...figures.map((figure) => figure?.toFixed(1) ?? ""),
      published ? `[${keys.indexOf(published.source) + 1}]` : "",
    ];
  });
  const notes = keys.flatMap((key, index) => [`[${index + 1}] ${sources[key].title}:`, ...sources[key].urls]);
  const title = "Published checkpoints, and zero-shot accuracy in percent as others publish it";
  const tables = CHOICES.map((chosen) => aligned([head, ...rows].map((row) => chosen.map((at) => row[at]))));
  const wide = (table: string) => Math.max(...table.split("\n").map((line) => width(line)));
  const table = tables.find((one) => wide(one) <= room) ?? tables[tables.length - 1];
  const more = table === tables[0] ? [] : ["A wider terminal shows more columns."];
  return [style("bold", title), table, ...more, "", ...notes].join("\n");
}
