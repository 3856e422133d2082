import type { StoredVector, VectorHeader, Vectors } from "../../search/vectors.ts";
import { checkWritable } from "../file.ts";
import { putInPlace } from "./beside.ts";
import { checkTable, isRemote, lance, lanceAttempt, openTable } from "./lance-table.ts";
import { peer } from "./peer.ts";

export { open } from "./read-lance.ts";

/** Values that are added at a time, each a fragment of the table: 32 MiB of float32. */
const BATCH = 2 ** 23;

/** Rejects where the package is missing, and where the folder cannot be made or is something else. */
export async function check(path: string): Promise<void> {
  lance(path);
  if (!isRemote(path) && !(await checkTable(path))) await checkWritable(path);
}

/**
 * A LanceDB table, a folder: id, kind, name, stamp, embedding (a fixed-size list of float32, float16 or int8) and scale. The
 * schema's metadata says what is said of all: `siglip.origin` and `siglip.counts`. It is put in place as a whole; at a
 * URL such as s3://bucket/photos.lance, where nothing can be moved, it is written there, and until it is whole readers
 * are told.
 */
export async function write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  await checkTable(path);
  if (isRemote(path)) await fill(path, path, vectors, signal);
  else await putInPlace(path, (temporary) => fill(temporary, path, vectors, signal), signal, ".lance");
}

/** What is used of apache-arrow, of which LanceDB brings its own. */
interface Arrow {
  readonly Int32: new () => unknown;
  readonly Int8: new () => unknown;
  readonly Float16: new () => unknown;
  readonly Float32: new () => unknown;
  readonly Utf8: new () => unknown;
  readonly FixedSizeList: new (size: number, field: unknown) => unknown;
  readonly Struct: new (fields: readonly unknown[]) => unknown;
  readonly Field: new (name: string, type: unknown, nullable: boolean) => { readonly type: unknown };
  readonly Schema: new (fields: readonly unknown[], metadata: Map<string, string>) => unknown;
  readonly RecordBatch: new (schema: unknown, data: unknown) => unknown;
  readonly Table: new (schema: unknown, batches: readonly unknown[]) => unknown;
  makeData(props: object): unknown;
  vectorFromArray(values: readonly string[], type: unknown): { readonly data: readonly unknown[] };
}

async function fill(place: string, path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  const arrow = peer<Arrow>("apache-arrow", path, "@lancedb/lancedb");
  const { schema, batchOf } = encoder(arrow, vectors.header);
  // A folder that is taken away must have nobody at work in it.
  const aborting = isRemote(place) ? signal : undefined;
  const table = await openTable(place, schema, aborting);
  try {
    const most = Math.max(1, Math.floor(BATCH / vectors.header.width));
    let first = 0;
    let rows: StoredVector[] = [];
    const put = async () => {
      if (rows.length === 0) return;
      const batch = batchOf(rows, first);
      first += rows.length;
      rows = [];
      await lanceAttempt(path, "write", () => table.add(batch), aborting);
    };
    for await (const row of vectors.rows(signal)) {
      rows.push({ ...row, bytes: row.bytes.slice() });
      if (rows.length < most) continue;
      await put();
      signal?.throwIfAborted();
    }
    await put();
  } finally {
    table.close();
  }
}

function encoder(arrow: Arrow, { width, dtype, counts, origin }: VectorHeader) {
  const { Field, Int32, Utf8, Float32 } = arrow;
  const values = {
    f32: { type: new Float32(), array: Float32Array },
    f16: { type: new arrow.Float16(), array: Uint16Array },
    i8: { type: new arrow.Int8(), array: Int8Array },
  }[dtype];
  const list = new arrow.FixedSizeList(width, new Field("item", values.type, true));
  const texts = ["kind", "name", "stamp"] as const;
  const fields = [
    new Field("id", new Int32(), false),
    ...texts.map((name) => new Field(name, new Utf8(), false)),
    new Field("scale", new Float32(), false),
    new Field("embedding", list, false),
  ];
  const metadata = new Map([
    ["siglip.origin", JSON.stringify(origin)],
    ["siglip.counts", JSON.stringify(counts)],
  ]);
  const schema = new arrow.Schema(fields, metadata);

  function batchOf(rows: readonly StoredVector[], first: number): unknown {
    const bytes = new Uint8Array(rows.length * rows[0].bytes.length);
    for (const [i, row] of rows.entries()) bytes.set(row.bytes, i * row.bytes.length);
    const length = rows.length;
    const child = arrow.makeData({ type: values.type, data: new values.array(bytes.buffer), nullCount: 0 });
    const children = [
      arrow.makeData({ type: new Int32(), data: Int32Array.from(rows, (_, i) => first + i), nullCount: 0 }),
      ...texts.map(
        (name) =>
          arrow.vectorFromArray(
            rows.map((row) => row[name]),
            new Utf8(),
          ).data[0],
      ),
      arrow.makeData({ type: new Float32(), data: Float32Array.from(rows, ({ scale }) => scale), nullCount: 0 }),
      arrow.makeData({ type: list, length, nullCount: 0, child }),
    ];
    const data = arrow.makeData({ type: new arrow.Struct(fields), length, nullCount: 0, children });
    return new arrow.Table(schema, [new arrow.RecordBatch(schema, data)]);
  }
  return { schema, batchOf };
}
