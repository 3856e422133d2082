import type { SiglipConfig } from "../model/config.ts";
import { bindTowers, imageProgram, textProgram } from "../model/towers.ts";
import { bytes } from "../support/units.ts";
import { type Cost, costs } from "../tensor/cost.ts";
import type { Program, WeightDType } from "../tensor/program.ts";
import { show } from "../tensor/shape.ts";
import { aligned } from "./table.ts";
import { plain, style } from "./terminal.ts";

/** What each tower computes for one item, operation by operation. */
export interface Programs {
  readonly image?: readonly Cost[];
  readonly text?: readonly Cost[];
}

/** The programs of the towers that a model has, from the configuration alone. */
export function readPrograms(config: SiglipConfig, dtype: WeightDType): Programs {
  const { vision, text } = bindTowers(config, dtype);
  const rows = (program: Program) => costs(program);
  const image = config.towers.includes("image") ? rows(imageProgram(vision, 1)) : undefined;
  return { image, text: config.towers.includes("text") ? rows(textProgram(text, 1)) : undefined };
}

/** The programs as tables: operation, weights, shapes, FLOPs and bytes. */
export function showPrograms({ image, text }: Programs): string {
  return [image && table("image", image), text && table("text", text)].filter(Boolean).join("\n\n");
}

function table(tower: string, rows: readonly Cost[]): string {
  const sum = (of: (row: Cost) => number) => rows.reduce((total, row) => total + of(row), 0);
  return [
    style("bold", `The ${tower} tower, one ${tower}`),
    aligned([
      ["", "operation", "weights", "from", "matrix", "to", "FLOPs", "bytes"],
      ...rows.map(({ kind, name, from, weight, to, flops, bytes: count }, index) => [
        String(index),
        kind,
        plain(name),
        show(from),
        weight ? show(weight) : "",
        show(to),
        operations(flops),
        bytes(Math.ceil(count)),
      ]),
      ["", "all", "", "", "", "", operations(sum(({ flops }) => flops)), bytes(Math.ceil(sum((row) => row.bytes)))],
    ]),
  ].join("\n");
}

/** Operations in the unit that suits them: "1.93 G". */
function operations(count: number): string {
  if (count < 1000) return String(count);
  const power = Math.min(4, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** power).toPrecision(3)} ${"kMGT"[power - 1]}`;
}
