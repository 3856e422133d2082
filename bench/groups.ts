/**
 * `npx tsx bench/groups.ts`: what groups of 16, 32 and 64 weights a scale cost, as the largest 1 - cosine of either tower of
 * golden cases on the CPU backend, beside the bits that a weight then takes. Needs no GPU and writes nothing.
 *
 *   --case tiny-hd72,tiny-giant   golden cases; all small ones by default
 */
import { parseArgs } from "node:util";
import { loadTowers } from "../src/model/towers.ts";
import { checkSame, Grouped } from "./groups/grouped.ts";
import { table } from "./lib/statistics.ts";
import { openSubject } from "./model/subject.ts";

const SMALL = "tiny-hd64,tiny-hd72,tiny-giant,tiny-ragged";
const { values: options } = parseArgs({ options: { case: { type: "string", default: SMALL } } });

/** No case has more items of a kind, so that all are among so many. */
const ITEMS = 5;

checkSame();
const subjects = await Promise.all(options.case.split(",").map((name) => openSubject(name, undefined)));
const rows: string[][] = [];
for (const dtype of ["q8", "q4"] as const) {
  for (const group of [16, 32, 64]) {
    const worst: number[] = [];
    for (const subject of subjects) {
      const towers = await loadTowers(new Grouped(group), await subject.open(), subject.config, {
        dtype,
        towers: ["image", "text"],
      });
      for (const tower of ["image", "text"] as const) {
        worst.push(await subject.distance(await subject.prepare(tower, ITEMS)(towers), tower));
      }
    }
    const bits = (dtype === "q8" ? 8 : 4) + 16 / group;
    const cells = worst.map((distance) => distance.toPrecision(3));
    rows.push([`${dtype}, groups of ${group}`, String(bits), Math.max(...worst).toPrecision(3), ...cells]);
  }
}
const columns = subjects.flatMap(({ name }) => [`${name} image`, "text"]);
console.log(table(["weights", "bits a weight", "largest 1 - cosine", ...columns], rows));
