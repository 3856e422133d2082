import { areFinite, encodeVector, VALUE_BYTES } from "../../search/encode-vector.ts";
import type { Kind, StoredVector, VectorHeader, VectorKey } from "../../search/vectors.ts";
import { originOf } from "../../search/vectors-file.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import { toFloat32 } from "../../support/numbers.ts";
import { fileSource } from "../file.ts";
import type { OpenVectors } from "./formats.ts";
import { openDatabase, type SqlValue, type Statement } from "./sqlite-driver.ts";

/** Rows that are asked for at a time. */
const ROWS = 256;

type Row = Record<string, SqlValue>;

/** A database as it is written here. */
export async function open(path: string, signal?: AbortSignal): Promise<OpenVectors> {
  signal?.throwIfAborted();
  const source = await fileSource(path);
  try {
    const start = await source.read(0, Math.min(16, source.size), signal);
    const found = new TextDecoder("latin1").decode(start);
    if (found !== "SQLite format 3\0")
      throw mismatch("bad-input", path, "a SQLite database", "another file", "check it");
  } finally {
    await source.close();
  }
  const database = openDatabase(path, path, true);
  try {
    // Nothing that a stranger's database defines is run.
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON");
    return { ...vectorsOf(path, (sql) => database.prepare(sql)), close: async () => database.close() };
  } catch (error) {
    database.close();
    throw error instanceof SiglipError ? error : unsound(path, error);
  }
}

function unsound(path: string, error: unknown): SiglipError {
  const wanted = "a database of embeddings";
  return mismatch(
    "bad-input",
    path,
    wanted,
    `another (${(error as Error).message})`,
    "write it with siglip embed",
    error,
  );
}

function vectorsOf(path: string, prepare: (sql: string) => Statement): Omit<OpenVectors, "close"> {
  const fail = (wanted: string, found: string): never => {
    throw mismatch("bad-input", path, wanted, found, "write it with siglip embed");
  };
  const all = (statement: Statement, ...values: SqlValue[]): Row[] => {
    try {
      return statement.all(...values) as Row[];
    } catch (error) {
      throw unsound(path, error);
    }
  };
  const tables = all(
    prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name IN ('siglip', 'items', 'vectors')"),
  );
  const sql = new Map(tables.map(({ name, sql }) => [name, String(sql)]));
  if (
    ["siglip", "items"].some((name) => !/^CREATE TABLE/i.test(sql.get(name) ?? "")) ||
    !/^CREATE VIRTUAL TABLE \S+ USING vec0\b/i.test(sql.get("vectors") ?? "")
  ) {
    fail("tables siglip and items and a vec0 table vectors", "others");
  }
  const said = new Map(all(prepare("SELECT key, value FROM siglip LIMIT 100")).map(({ key, value }) => [key, value]));
  const width = Number(said.get("width"));
  const dtype = said.get("dtype");
  if (!(Number.isInteger(width) && width >= 1)) fail("a width in the table siglip", "none");
  if (dtype !== "f32" && dtype !== "f16" && dtype !== "i8") return fail("a dtype in the table siglip", "none");
  const counts = { image: 0, text: 0 };
  for (const { kind, n } of all(prepare("SELECT kind, count(*) AS n FROM items GROUP BY kind LIMIT 100"))) {
    if (kind !== "image" && kind !== "text") return fail('the kinds "image" and "text"', "others");
    counts[kind] = Number(n);
  }
  const header: VectorHeader = { width, dtype, counts, origin: originOf(`${said.get("origin") ?? "{}"}`, path) };
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  // As bytes, for one of the libraries ends texts at U+0000.
  const columns = "i.id, CAST(i.name AS BLOB) AS name, CAST(i.stamp AS BLOB) AS stamp, i.scale";
  const keysOf = prepare(`SELECT ${columns} FROM items i WHERE i.kind = ? AND i.id > ? ORDER BY i.id LIMIT ${ROWS}`);
  const rowsOf = prepare(`
    SELECT ${columns}, v.embedding FROM items i LEFT JOIN vectors v ON v.rowid = i.id
    WHERE i.kind = ? AND i.id > ? ORDER BY i.id LIMIT ${ROWS}`);

  function text(value: SqlValue): string {
    try {
      if (value instanceof Uint8Array) return decoder.decode(value);
    } catch {}
    return fail("names and stamps in UTF-8", "others");
  }

  async function* through(statement: Statement, signal?: AbortSignal): AsyncGenerator<{ key: VectorKey; row: Row }> {
    for (const kind of ["image", "text"] satisfies Kind[]) {
      let seen = 0;
      let last = Number.MIN_SAFE_INTEGER;
      for (let rows = all(statement, kind, last); rows.length > 0; rows = all(statement, kind, last)) {
        for (const row of rows) yield { key: { kind, name: text(row.name), stamp: text(row.stamp) }, row };
        const { id } = rows[rows.length - 1];
        seen += rows.length;
        if (typeof id !== "number" || id <= last) return fail("ids in order", "others");
        last = id;
        if (seen > counts[kind]) fail(`${counts[kind]} rows`, "more");
        await new Promise(setImmediate);
        signal?.throwIfAborted();
      }
      if (seen !== counts[kind]) fail(`${counts[kind]} rows`, `${seen}`);
    }
  }

  function vectorOf({ embedding, scale }: Row): Pick<StoredVector, "bytes" | "scale"> {
    const bytes = width * (dtype === "i8" ? 1 : VALUE_BYTES.f32);
    if (!(embedding instanceof Uint8Array) || embedding.length !== bytes || typeof scale !== "number") {
      return fail(`embeddings of ${width} values, and a scale`, "others");
    }
    const stored = { bytes: new Uint8Array(embedding), scale: Math.fround(scale) };
    if (!areFinite(stored, dtype === "i8" ? "i8" : "f32")) return fail("finite embeddings", "others");
    return dtype === "f16" ? encodeVector(toFloat32(stored.bytes, "F32"), "f16") : stored;
  }

  return {
    header,
    async *keys(signal) {
      for await (const { key } of through(keysOf, signal)) yield key;
    },
    async *rows(signal) {
      for await (const { key, row } of through(rowsOf, signal)) {
        const { bytes, scale } = vectorOf(row);
        yield { bytes, scale, ...key };
      }
    },
  };
}
