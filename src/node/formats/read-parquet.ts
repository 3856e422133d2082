import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { areFinite, encodeVector } from "../../search/encode-vector.ts";
import type { StoredVector, VectorHeader, VectorKey } from "../../search/vectors.ts";
import { originOf } from "../../search/vectors-file.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import type { FileSource } from "../file.ts";
import type { OpenVectors } from "./formats.ts";
import { inOrder } from "./in-order.ts";
import { openFile } from "./open-file.ts";
import { checkPages } from "./parquet-pages.ts";
import { columnsOf, type Group, groupsOf } from "./parquet-schema.ts";

/** Bytes of the largest footer that is read. */
const FOOTER = 2 ** 28;

/** Most values of a row group, which is held in memory: DuckDB's usual 122,880 rows have room up to a width of 1,092. */
const GROUP = 2 ** 27;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** The library's own would take U+FEFF away at the beginning of a name. */
const parsers = { stringFromBytes: (bytes?: Uint8Array) => bytes && decoder.decode(bytes) };

/** The columns of what names an embedding. */
const KEYS = ["kind", "name", "stamp"];

/**
 * A Parquet file with a column embedding, a list of as many FLOAT, DOUBLE, FLOAT16 or INT_8 in each row. Strings in columns
 * kind ("image" where there is none), name and stamp; of integers numbers in a column scale.
 */
export function open(path: string, signal?: AbortSignal): Promise<OpenVectors> {
  return openFile(path, (source) => vectorsOf(source, signal));
}

async function vectorsOf(source: FileSource, signal?: AbortSignal): Promise<Omit<OpenVectors, "close">> {
  const fail = (wanted: string, found: string, cause?: unknown): never => {
    throw mismatch("bad-input", source.name, wanted, found, "write the file again", cause);
  };
  /** What the library says against a file is about the file. */
  const attempt = async <R>(run: () => Promise<R>): Promise<R> => {
    try {
      return await run();
    } catch (error) {
      if (signal?.aborted || (error instanceof SiglipError && error.code !== "bad-checkpoint")) throw error;
      return fail("a sound Parquet file", `that it is not one (${(error as Error).message})`, error);
    }
  };
  const file: AsyncBuffer = {
    byteLength: source.size,
    async slice(start, end = source.size) {
      const bytes = await source.read(start, end - start, signal);
      return bytes.buffer as ArrayBuffer;
    },
  };
  const metadata = await attempt(async () => {
    if (source.size < 12) fail("a sound Parquet file", `only ${source.size} bytes`);
    const tail = await source.read(source.size - 8, 4, signal);
    const footer = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true);
    if (footer > Math.min(FOOTER, source.size - 12)) fail("a sound Parquet file", `a footer of ${footer} bytes`);
    return parquetMetadataAsync(file);
  });
  // Of a damaged footer the library makes whatever types its bytes say.
  const { columns, dtype, origin, groups, said } = await attempt(async () => {
    const pairs = new Map(metadata.key_value_metadata?.map(({ key, value }) => [key, value]));
    return {
      ...columnsOf(metadata, fail),
      origin: originOf(pairs.get("siglip.origin"), source.name),
      groups: groupsOf(metadata, source.size, fail),
      said: pairs.get("siglip.width"),
    };
  });

  /** Column after column: of several at a time the library leaves errors of all but the first unheard. */
  async function* read(group: Group, wanted: readonly string[], signal?: AbortSignal) {
    const { start: rowStart, end: rowEnd } = group;
    const found: [string, Record<string, unknown>[]][] = [];
    for (const name of wanted.filter((one) => columns.has(one))) {
      signal?.throwIfAborted();
      for (const column of group.columns.filter((one) => one.name === name)) {
        const { begin, end } = column;
        await attempt(async () => checkPages(await source.read(begin, end - begin, signal), column, fail));
      }
      const options = { file, metadata, rowStart, rowEnd, columns: [name], useOffsetIndex: false, parsers };
      const rows = await attempt(() => parquetReadObjects(options));
      if (rows.length !== rowEnd - rowStart) fail(`${rowEnd - rowStart} rows in a group`, `${rows.length}`);
      found.push([name, rows]);
    }
    for (let i = 0; i < rowEnd - rowStart; i++)
      yield Object.fromEntries(found.map(([name, rows]) => [name, rows[i][name]]));
  }
  const keyOf = ({ kind = "image", name = "", stamp = "" }: Record<string, unknown>): VectorKey => {
    if (kind !== "image" && kind !== "text") return fail('the kind "image" or "text"', "another");
    if (typeof name !== "string" || typeof stamp !== "string") return fail("a name and a stamp in every row", "none");
    return { kind, name, stamp };
  };

  const counts = { image: 0, text: 0 };
  let sorted = true;
  for (const group of groups) {
    if (!columns.has("kind")) {
      counts.image += group.end - group.start;
      continue;
    }
    for await (const row of read(group, ["kind"], signal)) {
      const { kind } = keyOf(row);
      sorted &&= kind === "text" || counts.text === 0;
      counts[kind]++;
    }
  }
  let width = Number(said);
  if (said === undefined && groups.length > 0) {
    for await (const { embedding } of read(groups[0], ["embedding"], signal)) {
      width = (embedding as unknown[])?.length;
      break;
    }
  }
  if (!(Number.isInteger(width) && width >= 1 && width <= 2 ** 24)) fail("a width, or embeddings", "none");
  const header: VectorHeader = { width, dtype, counts, origin };

  function vectorOf({ embedding, scale = 1 }: Record<string, unknown>): Pick<StoredVector, "bytes" | "scale"> {
    const list = embedding as unknown[];
    if (!Array.isArray(list) && !ArrayBuffer.isView(list)) return fail("an embedding in every row", "none");
    const values = Float32Array.from(list as number[]);
    if (values.length !== width) return fail(`embeddings of ${width} values`, `${values.length}`);
    const finite = values.every((value) => Number.isFinite(value) && (dtype !== "f16" || Math.abs(value) <= 65504));
    if (!finite || typeof scale !== "number") return fail("finite embeddings", "others");
    if (dtype !== "i8") return encodeVector(values, dtype);
    const vector = { bytes: new Uint8Array(Int8Array.from(values).buffer), scale: Math.fround(scale) };
    if (values.some((value) => value < -128 || value > 127) || !areFinite(vector, "i8")) {
      return fail("integers of 8 bits and scales", "others");
    }
    return vector;
  }

  return {
    header,
    keys: (signal) =>
      inOrder(sorted, async function* () {
        for (const group of groups) {
          for await (const row of read(group, KEYS, signal)) yield keyOf(row);
        }
      }),
    rows: (signal) =>
      inOrder(sorted, async function* () {
        for (const group of groups) {
          if (group.values > GROUP) fail(`row groups of at most ${GROUP} values`, `one of ${group.values}`);
          for await (const row of read(group, [...KEYS, "scale", "embedding"], signal)) {
            const key = keyOf(row);
            const { bytes, scale } = vectorOf(row);
            yield { bytes, scale, ...key };
          }
        }
      }),
  };
}
