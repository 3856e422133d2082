import { stat } from "node:fs/promises";
import { decodeVector } from "../../search/encode-vector.ts";
import type { Vectors } from "../../search/vectors.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import { checkWritable } from "../file.ts";
import { linkTarget } from "../link-target.ts";
import { putInPlace } from "./beside.ts";
import { openDatabase } from "./sqlite-driver.ts";

export { open } from "./read-sqlite.ts";

/** After so many rows others have their turn. */
const TURN = 1000;

/** Rejects where a package is missing, where the file cannot be written, or where another has it open to write. */
export async function check(path: string): Promise<void> {
  openDatabase(":memory:", path, false).close();
  await checkWritable(path);
  await checkClosed(path);
}

/** What another process has yet to write into a database would go into the one that takes its place. */
async function checkClosed(path: string): Promise<void> {
  const target = await linkTarget(path);
  for (const log of ["-wal", "-journal"]) {
    const { size } = await stat(`${target}${log}`).catch(() => ({ size: 0 }));
    if (size === 0) continue;
    throw mismatch("storage", path, "a database that is closed", `${log.slice(1)} beside it`, "close or delete it");
  }
}

/**
 * A SQLite database: `items` (id, kind, name, stamp, scale), and `vectors`, a vec0 table of sqlite-vec with the rowid of
 * each item, its embedding and its kind, for searches by cosine. Half-precision values are stored as float32, for
 * sqlite-vec has no half precision. What is said of all stands in `siglip` (key, value): width, dtype, origin.
 */
export async function write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  await checkClosed(path);
  await putInPlace(path, (temporary) => fill(temporary, path, vectors, signal), signal);
}

async function fill(file: string, path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  const { width, dtype, origin } = vectors.header;
  const database = openDatabase(file, path, false);
  try {
    // Nobody sees the file before it is whole.
    database.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN");
    const type = dtype === "i8" ? "int8" : "float";
    database.exec(`
      CREATE TABLE siglip (key TEXT PRIMARY KEY, value TEXT NOT NULL);
      CREATE TABLE items (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, stamp TEXT NOT NULL, scale REAL NOT NULL
      );
      CREATE VIRTUAL TABLE vectors USING vec0 (embedding ${type}[${width}] distance_metric=cosine, kind TEXT);`);
    const say = database.prepare("INSERT INTO siglip VALUES (?, ?)");
    for (const pair of Object.entries({ width: `${width}`, dtype, origin: JSON.stringify(origin) })) say.run(...pair);
    const item = database.prepare("INSERT INTO items VALUES (?, ?, ?, ?, ?)");
    const blob = dtype === "i8" ? "vec_int8(?)" : "?";
    const vector = database.prepare(`INSERT INTO vectors (rowid, embedding, kind) VALUES (?, ${blob}, ?)`);
    let id = 0;
    for await (const { kind, name, stamp, scale, bytes } of vectors.rows(signal)) {
      id++;
      item.run(id, kind, name, stamp, scale);
      vector.run(BigInt(id), dtype === "f16" ? asFloat32(bytes) : bytes, kind);
      if (id % TURN !== 0) continue;
      await new Promise(setImmediate);
      signal?.throwIfAborted();
    }
    database.exec("CREATE INDEX items_by_name ON items (name); COMMIT");
  } catch (error) {
    if (error instanceof SiglipError || signal?.aborted || !isSqlite(error)) throw error;
    const found = (error as Error).message;
    throw mismatch("storage", path, "to write this database", found, "make room and try again", error);
  } finally {
    database.close();
  }
}

/** Whether it is the library's error and not that of what gives the rows. */
function isSqlite(error: unknown): boolean {
  return /^(ERR_)?SQLITE/.test(String((error as NodeJS.ErrnoException).code));
}

function asFloat32(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(decodeVector({ bytes, scale: 1 }, "f16").buffer);
}
