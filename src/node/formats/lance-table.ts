import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { unlessAborted } from "../../support/abort.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import { attempt } from "../file.ts";
import { linkTarget } from "../link-target.ts";
import { causeOf } from "./lance-cause.ts";
import { peer } from "./peer.ts";

// What is used of @lancedb/lancedb and apache-arrow, which are optional peers: nothing here needs their types to compile.

/** A piece of an Arrow column. */
export interface ArrowData {
  readonly offset: number;
  readonly length: number;
  readonly nullCount: number;
  readonly values: Float32Array | Uint16Array | Int8Array;
  readonly children: readonly ArrowData[];
}
export interface ArrowColumn extends Iterable<unknown> {
  readonly data: readonly ArrowData[];
}
export interface ArrowBatch {
  readonly numRows: number;
  getChild(name: string): ArrowColumn | null;
}
export interface ArrowField {
  readonly name: string;
  readonly type: unknown;
}
export interface ArrowSchema {
  readonly fields: readonly ArrowField[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** A query of a table, set up step by step. */
export interface LanceQuery extends AsyncIterable<ArrowBatch> {
  select(columns: readonly string[]): LanceQuery;
  where(predicate: string): LanceQuery;
  limit(most: number): LanceQuery;
  nearestTo(query: Float32Array): LanceQuery;
  distanceType(type: "cosine"): LanceQuery;
  nprobes(count: number): LanceQuery;
  refineFactor(factor: number): LanceQuery;
}
export interface LanceTable {
  schema(): Promise<ArrowSchema>;
  add(table: unknown): Promise<unknown>;
  countRows(filter?: string): Promise<number>;
  query(): LanceQuery;
  createIndex(column: string, options: object): Promise<void>;
  listIndices(): Promise<readonly { readonly columns: readonly string[] }[]>;
  close(): void;
}
interface LanceConnection {
  openTable(name: string): Promise<LanceTable>;
  createEmptyTable(name: string, schema: unknown, options: object): Promise<LanceTable>;
  close(): void;
}
export interface Lance {
  connect(uri: string): Promise<LanceConnection>;
  readonly Index: { ivfPq(options: object): unknown };
}

export function lance(path: string): Lance {
  return peer("@lancedb/lancedb", path);
}

/** Whether it is a place that LanceDB reaches itself, such as s3://bucket/photos.lance. */
export function isRemote(path: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(path);
}

/** A table by the URL or path of its folder: LanceDB wants where it lies, and its name. */
function placeOf(path: string): { uri: string; name: string } {
  const trimmed = path.replace(/[/\\]+$/, "");
  const slash = trimmed.lastIndexOf("/");
  const [uri, last] = isRemote(path)
    ? [trimmed.slice(0, slash), trimmed.slice(slash + 1)]
    : [dirname(trimmed), basename(trimmed)];
  const name = last.replace(/\.lance$/i, "");
  if (!/^[\w.-]+$/.test(name) || !last.endsWith(".lance")) {
    const wanted = "a name of letters, digits, _, - and points before .lance, as LanceDB takes them";
    throw mismatch("bad-input", path, wanted, JSON.stringify(last), "choose another");
  }
  return { uri, name };
}

/** Rejects where something else than a table stands at a path; gives whether there is one. */
export async function checkTable(path: string): Promise<boolean> {
  placeOf(path);
  if (isRemote(path)) return false;
  const target = await attempt(path, "write", () => linkTarget(path));
  const stats = await stat(target).catch(() => undefined);
  if (!stats) return false;
  if (stats.isDirectory() && (await stat(join(target, "_versions")).catch(() => undefined))) return true;
  throw mismatch("bad-input", path, "a LanceDB table or nothing at all", "something else", "choose another name");
}

/**
 * Runs one of the library's operations; what it says against a table is told in one sentence. It is not waited for after an
 * abort: an object store may be silent for minutes.
 */
export async function lanceAttempt<R>(
  path: string,
  verb: "read" | "write",
  run: () => Promise<R>,
  signal?: AbortSignal,
): Promise<R> {
  try {
    return await unlessAborted(run(), signal);
  } catch (error) {
    if (error instanceof SiglipError || signal?.aborted) throw error;
    const said = causeOf((error as Error).message);
    const local = verb === "read" ? "write it again" : "check the place and try again";
    const advice = isRemote(path) ? "check the address, the connection and the credentials" : local;
    const code = verb === "read" ? "bad-input" : "storage";
    throw mismatch(code, path, `to ${verb} this LanceDB table`, `that LanceDB cannot (${said})`, advice, error);
  }
}

/** Opens a table, or makes an empty one of a schema: at a URL in place of any that is there. */
export async function openTable(path: string, schema?: unknown, signal?: AbortSignal): Promise<LanceTable> {
  const { uri, name } = placeOf(path);
  const { connect } = lance(path);
  const open = async () => {
    const connection = await connect(uri);
    return schema
      ? await connection.createEmptyTable(name, schema, { mode: isRemote(path) ? "overwrite" : "create" })
      : await connection.openTable(name);
  };
  return lanceAttempt(path, schema ? "write" : "read", open, signal);
}
