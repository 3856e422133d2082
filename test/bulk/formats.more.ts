import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { Entry } from "../../src/bulk/entry.ts";
import { embedInto } from "../../src/bulk/run.ts";
import { ENDINGS, formatOf } from "../../src/node/formats/formats.ts";
import { decodeVector } from "../../src/search/encode-vector.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { embedding, entry, fakeEmbed, job, WIDTH } from "./fake.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

async function expectRows(path: string, dtype: "f32" | "f16" | "i8", wanted: readonly Entry[]): Promise<void> {
  const file = await formatOf(path)!.open(path);
  const found: string[] = [];
  for await (const row of file.rows()) {
    found.push(row.name + row.stamp);
    const values = decodeVector(row, dtype);
    const exact = embedding(row.name + row.stamp);
    for (let i = 0; i < WIDTH; i++)
      expect(Math.abs(values[i] - exact[i])).toBeLessThan(dtype === "f32" ? 1e-30 : 0.004);
  }
  await file.close();
  expect(found).toEqual(wanted.map(({ name, stamp }) => name + stamp));
}

const cases = ENDINGS.flatMap((ending) => (["f32", "f16", "i8"] as const).map((dtype) => [ending, dtype] as const));

it.for(cases)("a file that ends in %s, of %s, is gone on from", async ([ending, dtype], { skip }) => {
  const path = join(folder.path, `${dtype}${ending}`);
  await formatOf(path)!
    .check(path, ["image"])
    .catch((error) => {
      if (/wanted the package/.test(error.message)) skip(error.message);
      throw error;
    });
  const header = { width: WIDTH, dtype, origin: { model: "fake", odd: 'ü\n"' } } as const;
  const all = Array.from({ length: 40 }, (_, index) => entry(`bild ${index} ü😀"\n`, `${index}`));
  const stopped = fakeEmbed(8, ([first]) => {
    if (first.startsWith("bild 24")) throw new Error("stopped here");
  });
  await expect(embedInto(job(path, all, { header, embed: stopped }))).rejects.toThrow("stopped here");
  expect(await embedInto(job(path, all, { header }))).toMatchObject({ made: 16, written: true });
  await expectRows(path, dtype, all);
  const before = statSync(path);
  const none = fakeEmbed(8, () => {
    throw new Error("nothing is to be embedded");
  });
  expect(await embedInto(job(path, all, { header, embed: none }))).toMatchObject({ made: 0, written: false });
  expect(statSync(path).mtimeMs).toBe(before.mtimeMs);
  if (before.isFile()) expect(readFileSync(path).length).toBeGreaterThan(0);
  const changed = [entry("new", "x"), ...all.slice(10).reverse()];
  expect(await embedInto(job(path, changed, { header }))).toMatchObject({ made: 1, written: true });
  await expectRows(path, dtype, changed);
  const nothing = { header, mayBeEmpty: true };
  const empty = join(folder.path, `empty-${dtype}${ending}`);
  expect(await embedInto(job(empty, [], nothing))).toMatchObject({ written: true, counts: { image: 0, text: 0 } });
  expect(await embedInto(job(empty, [], nothing))).toMatchObject({ written: false });
  await expect(embedInto(job(empty, [], { header }))).rejects.toThrow(/wanted something to embed, found nothing/);
});
