import { readFileSync } from "node:fs";
import { Checkpoint } from "../src/checkpoint/checkpoint.ts";
import { type Grid, gridOf } from "../src/image/naflex.ts";
import { parseConfig } from "../src/model/config.ts";
import { loadTowers } from "../src/model/towers.ts";
import { nodeThreads } from "../src/node/threads.ts";
import { open } from "../src/tensor/wasm/open.ts";
import { compare } from "../test/judge/compare.ts";
import { random } from "../test/judge/reference.ts";
import { syntheticSource } from "../test/judge/synthetic.ts";

// `npx tsx bench/naflex.ts`: what a batch of pictures of several shapes wastes by being padded to its longest, and two
// layers of base's width on the wasm backend, in one batch and one by one, after both have been found equal.

/** Heights and widths as cameras, screens and papers have them. */
const SHAPES: readonly (readonly [number, number])[] = [
  [3000, 4000],
  [4000, 3000],
  [2000, 3000],
  [3000, 2000],
  [1080, 1920],
  [1920, 1080],
  [1024, 1024],
  [1000, 3000],
  [3508, 2480],
];
const PATCH = 16;
const RUNS = 5;

const count = ([rows, columns]: Grid) => rows * columns;
const gridsOf = (budget: number) => SHAPES.map(([height, width]) => gridOf(height, width, PATCH, budget));

console.log("most patches  a picture's own    longest  waste of a batch of all");
for (const budget of [64, 256, 576, 1024]) {
  const counts = gridsOf(budget).map(count);
  const longest = Math.max(...counts);
  const waste = 1 - counts.reduce((sum, own) => sum + own, 0) / (longest * counts.length);
  const own = `${Math.min(...counts)} to ${longest}`;
  console.log(`${`${budget}`.padEnd(14)}${own.padEnd(19)}${`${longest}`.padEnd(9)}${(100 * waste).toFixed(1)} %`);
}

const config = JSON.parse(readFileSync(new URL("../test/golden/tiny-naflex/config.json", import.meta.url), "utf8"));
Object.assign(config.vision_config, {
  ...{ hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 2, num_attention_heads: 12 },
  ...{ patch_size: PATCH, num_patches: 256 },
});
config.text_config.projection_size = 768;
const parsed = parseConfig(config);
const options = { named: true, chosenForms: () => new Map(), gpu: async () => undefined, withoutGpu: () => "" };
const { backend, adapter } = (await open({ ...options, dtype: "f32", threading: nodeThreads }))!;
const weights = await Checkpoint.open([syntheticSource(parsed)]);
const towers = await loadTowers(backend, weights, parsed, { dtype: "f32", towers: ["image"] });

const grids = gridsOf(256);
const depth = 3 * PATCH ** 2;
const longest = Math.max(...grids.map(count));
const patches = new Float32Array(grids.length * longest * depth);
const own = grids.map((grid, index) => random(count(grid) * depth, index + 1));
for (const [index, values] of own.entries()) patches.set(values, index * longest * depth);
const together = () => towers.image({ patches, grids });
const apart = async () => {
  const rows: Float32Array[] = [];
  for (const [index, values] of own.entries()) {
    rows.push((await towers.image({ patches: values, grids: [grids[index]] })).data);
  }
  return Float32Array.from(rows.flatMap((row) => [...row]));
};
const { data, shape } = await together();
compare(data, await apart(), { shape, label: "one batch against one by one", relative: 1e-5 });
const times = { "one batch": [] as number[], "one by one": [] as number[] };
for (let run = 0; run < RUNS; run++) {
  for (const [name, work] of [
    ["one batch", together],
    ["one by one", apart],
  ] as const) {
    const start = performance.now();
    await work();
    times[name].push(performance.now() - start);
  }
}
console.log(`\n${grids.length} pictures of at most 256 patches, two layers of base's width, f32, ${adapter}`);
for (const [name, all] of Object.entries(times)) {
  const sorted = all.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(12)}median ${sorted[Math.floor(RUNS / 2)].toFixed(0)} ms, least ${sorted[0].toFixed(0)} ms`,
  );
}
backend.dispose();
