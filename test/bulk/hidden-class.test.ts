import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, expect, it } from "vitest";
import { embedInto } from "../../src/bulk/run.ts";
import { formatOf } from "../../src/node/formats/formats.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { entry, job } from "./fake.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

setFlagsFromString("--allow-natives-syntax");
const alike: (one: object, other: object) => boolean = runInNewContext("(one, other) => %HaveSameMap(one, other)");

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const ENTRIES = Array.from({ length: 40 }, (_, index) => entry(`${index}`));

// A row of a hidden class of its own leaves half a kilobyte behind that stays until all of the heap is collected.
it("rows that are written are of one hidden class", async () => {
  const path = join(folder.path, "written.safetensors");
  const rows: object[] = [];
  const format = { ...formatOf(path)! };
  format.write = async (_, vectors) => {
    rows.push(...(await all(vectors.rows())));
  };
  await embedInto(job(path, ENTRIES, { format }));
  expect(rows.length).toBe(ENTRIES.length);
  expect(alike(rows[38], rows[39])).toBe(true);
});

it.each(["safetensors", "npy", "jsonl", "parquet"])("rows of a .%s file are, too", async (ending) => {
  const path = join(folder.path, `read.${ending}`);
  await embedInto(job(path, ENTRIES));
  const vectors = await formatOf(path)!.open(path);
  const rows = await all(vectors.rows());
  await vectors.close();
  expect(alike(rows[38], rows[39])).toBe(true);
});
