// Runs fuzz cases in a process of its own, so that a crash, a hang or a full heap is told from a failed test:
// usage: node --import tsx test/fuzz/run.ts TARGET FIRST COUNT [SEED]
// Before each case a line with its number is written, in the end one line of JSON.
import assert from "node:assert/strict";
import { writeSync } from "node:fs";
import { getHeapStatistics } from "node:v8";
import { SiglipError } from "../../src/support/error.ts";
import { Random } from "./random.ts";
import { TARGETS, type Target } from "./targets.ts";

/** What some cases of one target came to. */
export interface Outcome {
  target: string;
  cases: number;
  /** Cases that were read and held. The others were refused. */
  taken: number;
  /** Different sentences of refusal, numbers aside. */
  sentences: number;
  /** The longest case, in milliseconds, and its number. */
  slowest: [number, number];
  /** The most that a case allocated, in bytes, and its number. */
  largest: [number, number];
  /** The process's largest resident size so far, in bytes. */
  peak: number;
}

/** What the engine itself allocates now and then, whatever the case. */
const SLACK = 4 * 2 ** 20;

async function run(target: Target, first: number, count: number, seed: string): Promise<Outcome> {
  let taken = 0;
  const sentences = new Set<string>();
  const slowest: [number, number] = [0, first];
  const largest: [number, number] = [0, first];
  for (let number = first; number < first + count; number++) {
    writeSync(1, `${target.name} ${number}\n`);
    const files = target.make(new Random(`${seed} ${target.name} ${number}`));
    const length = files.reduce((sum, { length }) => sum + length, 0);
    const before = allocated();
    const began = performance.now();
    try {
      const use = await target.read(files);
      await use();
      taken++;
    } catch (error) {
      if (!(error instanceof SiglipError)) throw error;
      assert.match(error.message, /^[^\r\n\u2028\u2029]{1,1000}\.$/u);
      sentences.add(error.message.replace(/".*?"/g, "…").replace(/\d+/g, "0").slice(0, 120));
    }
    const took = performance.now() - began;
    const grown = allocated() - before;
    if (took > slowest[0]) slowest.splice(0, 2, took, number);
    if (grown > largest[0]) largest.splice(0, 2, grown, number);
    assert(grown <= target.bound(length, files) + SLACK, `${grown} bytes for a file of ${length}`);
    checkPrototypes();
  }
  const peak = process.resourceUsage().maxRSS * 1024;
  return { target: target.name, cases: count, taken, sentences: sentences.size, slowest, largest, peak };
}

/** Bytes in the heap and outside it, garbage included, so that what a case took and dropped counts too. */
function allocated(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

const prototypes = [Object.prototype, Array.prototype, Function.prototype, Map.prototype, String.prototype];
const properties = prototypes.map((prototype) => Reflect.ownKeys(prototype).length);

function checkPrototypes(): void {
  prototypes.forEach((prototype, i) => {
    assert(Reflect.ownKeys(prototype).length === properties[i], "a prototype has another property");
  });
}

const [name, first, count, seed = "1"] = process.argv.slice(2);
const target = TARGETS.find((target) => target.name === name);
assert(target, `no target ${name}`);
writeSync(1, `${JSON.stringify(await run(target, Number(first), Number(count), seed))}\n`);
