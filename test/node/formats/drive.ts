// Runs in every runtime that has a SQLite of its own: `drive.ts FOLDER ENDING ROUNDS`. Ends with 1 where anything is wrong.
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatOf } from "../../../src/node/formats/formats.ts";
import { openDatabase } from "../../../src/node/formats/sqlite-driver.ts";
import { VectorIndex } from "../../../src/node/vector-index.ts";
import { decodeVector } from "../../../src/search/encode-vector.ts";
import { mutateBytes, Random } from "../../fuzz/random.ts";
import { random } from "../../judge/reference.ts";
import { contents, DTYPES, make } from "./vectors.ts";

const [folder, ending, rounds] = process.argv.slice(2);
const format = formatOf(ending)!;
const path = join(folder, `vectors${ending}`);

async function read(file: string) {
  const vectors = await format.open(file);
  return await contents(vectors).finally(() => vectors.close());
}

for (const dtype of DTYPES) {
  for (const counts of [
    { image: 0, text: 0 },
    { image: 300, text: 30 },
    { image: 0, text: 3 },
  ]) {
    await format.check(path);
    await format.write(path, make(counts, dtype));
    assert.deepEqual(await read(path), await contents(make(counts, dtype)));
  }
}

// A failure leaves what stood there, and nothing beside it.
const failing = make({ image: 1500, text: 0 });
failing.rows = async function* () {
  yield* make({ image: 1400, text: 0 }).rows();
  throw new Error("no more");
};
await assert.rejects(format.write(path, failing), /no more/);
await assert.rejects(format.write(path, make({ image: 2, text: 0 }), AbortSignal.abort(new Error("stop"))), /stop/);
assert.deepEqual(await read(path), await contents(make({ image: 0, text: 3 }, "i8")));
assert.deepEqual(await readdir(folder), [`vectors${ending}`]);

// An index of it finds what sqlite-vec finds.
const width = 24;
await format.write(
  path,
  make({ image: 300, text: 30 }, "f32", width, {}, (row) => `${row}.jpg`, random),
);
const index = await VectorIndex.load(path);
assert.equal(index.size, 300);
const query = random(width, 1234);
const scores = Array.from({ length: 300 }, () => 0);
for (const row of scores.keys()) {
  const vector = await index.row(row);
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  scores[row] = 1 - dot(vector, query) / Math.sqrt(dot(vector, vector) * dot(query, query));
}
const best = [...scores.keys()].sort((a, b) => scores[a] - scores[b]).slice(0, 5);
const database = openDatabase(path, path, true);
const found = database
  .prepare(
    `SELECT items.name, distance FROM vectors JOIN items ON items.id = vectors.rowid
     WHERE embedding MATCH ? AND k = 5 AND vectors.kind = 'image' ORDER BY distance`,
  )
  .all(new Uint8Array(query.buffer)) as { name: string; distance: number }[];
database.close();
assert.deepEqual(
  found.map(({ name }) => name),
  best.map((row) => `${row}.jpg`),
);
for (const [i, { distance }] of found.entries()) assert.ok(Math.abs(distance - scores[best[i]]) < 1e-5);

// Another's unwritten log would be applied to what takes its place.
await writeFile(`${path}-wal`, "unwritten");
await assert.rejects(format.write(path, make({ image: 1, text: 0 })), { code: "storage" });
await writeFile(`${path}-wal`, "");

const dice = new Random(ending);
const sound = await readFile(path);
for (let round = 0; round < Number(rounds); round++) {
  await writeFile(path, mutateBytes(dice, sound, [sound]));
  const found = await read(path).catch((error) => {
    assert.match(error.message, /^[^\n]+: wanted .*, found .*; .*\.$/s);
    assert.ok(["bad-input", "storage"].includes(error.code), error.stack);
  });
  for (const { bytes, scale } of found?.rows ?? []) {
    const row = decodeVector({ bytes: Buffer.from(bytes, "hex"), scale }, found!.header.dtype);
    assert.ok(row.length === found!.header.width && row.every(Number.isFinite));
  }
}
console.log("sound");
