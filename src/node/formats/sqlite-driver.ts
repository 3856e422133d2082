import { createRequire } from "node:module";
import { notLoading, peer } from "./peer.ts";

/** What SQLite takes and gives. */
export type SqlValue = string | number | bigint | null | Uint8Array;

/** A prepared statement. */
export interface Statement {
  run(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
}

/** What the runtimes' SQLite and npm's have in common. */
export interface Database {
  exec(sql: string): unknown;
  prepare(sql: string): Statement;
  loadExtension(path: string): void;
  close(): void;
}

/** node:sqlite, as far as it is used here. */
interface NodeSqlite {
  readonly DatabaseSync: new (path: string, options: object) => Database;
}

/** `bun:sqlite`, whose prepared statements are the same. */
interface BunSqlite {
  readonly Database: new (path: string, options: object) => Database;
}

type BetterSqlite = new (path: string, options: object) => Database;

/**
 * Opens a database with the runtime's own SQLite (Node from 22.13, Deno, Bun), else with npm's better-sqlite3, and loads
 * sqlite-vec into it. Throws a SiglipError where a package is missing, and what the library says of the file.
 */
export function openDatabase(path: string, shown: string, readOnly: boolean): Database {
  const { getLoadablePath } = peer<{ getLoadablePath(): string }>("sqlite-vec", shown);
  const database = openWith(path, shown, readOnly);
  try {
    database.loadExtension(getLoadablePath());
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function openWith(path: string, shown: string, readOnly: boolean): Database {
  if ("Bun" in globalThis) {
    const { Database } = createRequire(import.meta.url)("bun:sqlite") as BunSqlite;
    return new Database(path, readOnly ? { readonly: true } : { readwrite: true, create: true });
  }
  const sqlite = ownSqlite();
  if (sqlite) return new sqlite.DatabaseSync(path, { readOnly, allowExtension: true });
  const Better = peer<BetterSqlite>("better-sqlite3", shown);
  try {
    return new Better(path, { readonly: readOnly, fileMustExist: readOnly });
  } catch (error) {
    // It looks for its native part only now.
    if (/^SQLITE/.test(String((error as NodeJS.ErrnoException).code))) throw error;
    throw notLoading("better-sqlite3", shown, error);
  }
}

function ownSqlite(): NodeSqlite | undefined {
  try {
    const sqlite: NodeSqlite = createRequire(import.meta.url)("node:sqlite");
    return "loadExtension" in sqlite.DatabaseSync.prototype ? sqlite : undefined;
  } catch {
    return undefined;
  }
}
