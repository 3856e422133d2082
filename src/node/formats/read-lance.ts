import { stat } from "node:fs/promises";
import { areFinite } from "../../search/encode-vector.ts";
import type { Kind, StoredVector, VectorDType, VectorHeader, VectorKey } from "../../search/vectors.ts";
import { originOf } from "../../search/vectors-file.ts";
import { mismatch } from "../../support/error.ts";
import { attempt } from "../file.ts";
import type { OpenVectors } from "./formats.ts";
import { type ArrowBatch, checkTable, isRemote, type LanceTable, lanceAttempt, openTable } from "./lance-table.ts";

const DTYPES: Readonly<Record<string, VectorDType>> = { Float32: "f32", Float16: "f16", Int8: "i8" };

/** A table as it is written here, held open. */
export interface OpenLance {
  readonly table: LanceTable;
  readonly header: VectorHeader;
  /** The names of its columns. */
  readonly columns: ReadonlySet<string>;
}

/** A table with a column embedding, a fixed-size list of floats, or of integers beside a column scale; others as they come. */
export async function openLance(path: string, signal?: AbortSignal): Promise<OpenLance> {
  signal?.throwIfAborted();
  const fail = (wanted: string, found: string): never => {
    throw mismatch("bad-input", path, wanted, found, "write it with siglip embed or merge");
  };
  if (!isRemote(path)) await attempt(path, "read", () => stat(path));
  await checkTable(path);
  const table = await openTable(path, undefined, signal);
  const read = async (): Promise<OpenLance> => {
    const { fields, metadata } = await table.schema();
    const columns = new Set(fields.map(({ name }) => name));
    const type = String(fields.find(({ name }) => name === "embedding")?.type);
    const [, size, element] = /^FixedSizeList\[(\d+)\]<(\w+)>$/.exec(type) ?? [];
    const dtype = DTYPES[element];
    if (!dtype) return fail("a column embedding, a fixed-size list of Float32, Float16 or Int8,", type);
    if (dtype === "i8" && !columns.has("scale")) return fail("a column scale beside integers", "none");
    const total = await table.countRows();
    const image = columns.has("kind") ? await table.countRows("kind = 'image'") : total;
    const counts = { image, text: columns.has("kind") ? await table.countRows("kind = 'text'") : 0 };
    if (counts.image + counts.text !== total) return fail('the kinds "image" and "text"', "others");
    const said = metadata.get("siglip.counts");
    if (said !== undefined && said !== JSON.stringify(counts)) {
      return fail(`embeddings of ${said}`, `${JSON.stringify(counts)}, for writing it was interrupted`);
    }
    const origin = originOf(metadata.get("siglip.origin"), path);
    return { table, columns, header: { width: Number(size), dtype, counts, origin } };
  };
  try {
    return await lanceAttempt(path, "read", read, signal);
  } catch (error) {
    table.close();
    throw error;
  }
}

export async function open(path: string, signal?: AbortSignal): Promise<OpenVectors> {
  const opened = await openLance(path, signal);
  const read = (columns: readonly string[], signal?: AbortSignal) => through(path, opened, columns, signal);
  return {
    header: opened.header,
    async *keys(signal) {
      for await (const { keys } of read(["name", "stamp"], signal)) yield* keys;
    },
    async *rows(signal) {
      const columns = ["name", "stamp", "scale", "embedding"];
      for await (const batch of read(columns, signal)) yield* vectorsOf(path, opened.header, batch);
    },
    close: async () => opened.table.close(),
  };
}

interface Batch {
  readonly keys: readonly VectorKey[];
  readonly batch: ArrowBatch;
}

/** The columns of these names, as far as there are such, batch by batch: pictures first. */
async function* through(
  path: string,
  { table, header, columns }: OpenLance,
  names: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<Batch> {
  const fail = (wanted: string, found: string): never => {
    throw mismatch("bad-input", path, wanted, found, "write the table again");
  };
  const wanted = ["id", ...names].filter((name) => columns.has(name));
  for (const kind of ["image", "text"] satisfies Kind[]) {
    let left = header.counts[kind];
    if (left === 0) continue;
    let last = -1;
    // At least one column, or there would be no rows.
    const query = table.query().select(wanted.length > 0 ? wanted : ["embedding"]);
    const batches = columns.has("kind") ? query.where(`kind = '${kind}'`) : query;
    const iterator = batches[Symbol.asyncIterator]();
    try {
      for (;;) {
        signal?.throwIfAborted();
        const { done, value: batch } = await lanceAttempt(path, "read", () => iterator.next(), signal);
        if (done) break;
        for (const id of batch.getChild("id") ?? []) {
          if (Number(id) <= last) fail("rows in the order of their ids", "others");
          last = Number(id);
        }
        left -= batch.numRows;
        const texts = (name: string) => batch.getChild(name)?.[Symbol.iterator]();
        const [nameOf, stampOf] = [texts("name"), texts("stamp")];
        const text = (found?: Iterator<unknown>) => {
          const value = found ? found.next().value : "";
          return typeof value === "string" ? value : fail("a name and a stamp in every row", "none");
        };
        const keys = Array.from({ length: batch.numRows }, () => ({ kind, name: text(nameOf), stamp: text(stampOf) }));
        yield { keys, batch };
      }
    } finally {
      await iterator.return?.();
    }
    if (left !== 0) fail(`${header.counts[kind]} rows`, `${header.counts[kind] - left}`);
  }
}

function* vectorsOf(path: string, { width, dtype }: VectorHeader, { keys, batch }: Batch): Generator<StoredVector> {
  const fail = (found: string): never => {
    throw mismatch("bad-input", path, `finite embeddings of ${width} values`, found, "write the table again");
  };
  const scales = dtype === "i8" ? batch.getChild("scale")?.[Symbol.iterator]() : undefined;
  let row = 0;
  for (const list of batch.getChild("embedding")?.data ?? []) {
    const [child] = list.children;
    const { buffer, byteOffset, BYTES_PER_ELEMENT, length } = child.values;
    if (list.nullCount > 0 || child.nullCount > 0 || length < (list.offset + list.length) * width) fail("gaps");
    for (let at = list.offset; at < list.offset + list.length; at++, row++) {
      const size = width * BYTES_PER_ELEMENT;
      const bytes = new Uint8Array(buffer, byteOffset + at * size, size);
      const stored = { bytes, scale: scales ? Number(scales.next().value) : 1 };
      if (row >= keys.length || !areFinite(stored, dtype)) fail("others");
      yield { scale: stored.scale, bytes, ...keys[row] };
    }
  }
  if (row !== keys.length) fail(`${row} of ${keys.length}`);
}
