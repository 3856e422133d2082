import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, expect, it } from "vitest";
import { filter } from "../../src/bulk/filter.ts";
import { embedInto } from "../../src/bulk/run.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { embedding, entry, job } from "./fake.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Bytes of objects that somebody holds. */
function held(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

const [EARLY, ALL] = [2000, 20_000];

function* names(reached: (heap: number) => void): Generator<string> {
  for (let index = 0; index <= ALL; index++) {
    if (index === EARLY || index === ALL) reached(held());
    yield `picture ${index} of a folder whose name is long enough to be noticed where it is held`;
  }
}

// A promise that is waited for again and again holds all who wait: some 300 bytes each.
it("embedding many files holds no object for each", async () => {
  const heaps: number[] = [];
  function* entries() {
    for (const name of names((heap) => heaps.push(heap))) yield entry(name);
  }
  await embedInto(job(join(folder.path, "many.safetensors"), entries()));
  expect(heaps[1] - heaps[0]).toBeLessThan(18_000 * 50);
});

it("a filter of many lines holds none of them", async () => {
  const heaps: number[] = [];
  async function* questions() {
    for (const name of names((heap) => heaps.push(heap))) {
      yield { kind: "image", name, load: async () => name } as const;
    }
  }
  await filter(questions(), {
    size: async () => 8,
    embed: async (_, items) => items.map((item) => embedding(`${item}`)),
    write: async () => {},
  });
  expect(heaps[1] - heaps[0]).toBeLessThan(18_000 * 50);
});
