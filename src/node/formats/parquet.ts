import type { KeyValue, SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { decodeVector } from "../../search/encode-vector.ts";
import type { StoredVector, VectorDType, Vectors } from "../../search/vectors.ts";
import { checkWritable, writeFileAtomic } from "../file.ts";
import { type ArrowType, arrowSchema, FLOAT16, FLOAT32, fixedSizeList, INT8, UTF8 } from "./arrow-schema.ts";

export { open } from "./read-parquet.ts";

export const check = checkWritable;

/** Values of a row group: what is held in memory at a time, some ten bytes for each. */
const GROUP = 2 ** 20;

/** The type of the values in each dtype; integers have one of 8 bits behind Parquet's 32. */
const VALUE: Readonly<Record<VectorDType, SchemaElement>> = {
  f32: { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
  f16: {
    ...{ name: "element", type: "FIXED_LEN_BYTE_ARRAY", type_length: 2, repetition_type: "REQUIRED" },
    logical_type: { type: "FLOAT16" },
  },
  i8: { name: "element", type: "INT32", converted_type: "INT_8", repetition_type: "REQUIRED" },
};

const ARROW_VALUE: Readonly<Record<VectorDType, ArrowType>> = { f32: FLOAT32, f16: FLOAT16, i8: INT8 };

function schemaOf(dtype: VectorDType): SchemaElement[] {
  const text = (name: string): SchemaElement => ({
    ...{ name, type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } },
    repetition_type: "REQUIRED",
  });
  const scale: SchemaElement[] = dtype === "i8" ? [{ name: "scale", type: "FLOAT", repetition_type: "REQUIRED" }] : [];
  return [
    { name: "schema", num_children: 4 + scale.length },
    ...[text("kind"), text("name"), text("stamp")],
    ...scale,
    {
      ...{ name: "embedding", repetition_type: "REQUIRED", num_children: 1 },
      ...{ converted_type: "LIST", logical_type: { type: "LIST" } },
    },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    VALUE[dtype],
  ];
}

function arrowSchemaOf(dtype: VectorDType, width: number): string {
  const texts = ["kind", "name", "stamp"].map((name) => ({ name, type: UTF8 }));
  const scale = dtype === "i8" ? [{ name: "scale", type: FLOAT32 }] : [];
  const embedding = fixedSizeList({ name: "element", type: ARROW_VALUE[dtype] }, width);
  return arrowSchema([...texts, ...scale, { name: "embedding", type: embedding }]);
}

/**
 * A Parquet file of the columns kind, name, stamp, embedding (a list of `width` values in each row) and, of integers,
 * scale. Key-value metadata: `siglip.width`, `siglip.origin` as JSON, and `ARROW:schema`, by which readers that know
 * Arrow take the embeddings for lists of a fixed size.
 */
export async function write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  await writeFileAtomic(path, chunks(vectors, signal), signal);
}

async function* chunks(vectors: Vectors, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const { width, dtype, origin } = vectors.header;
  const writer = new ByteWriter();
  const kvMetadata: KeyValue[] = [
    { key: "siglip.width", value: `${width}` },
    { key: "siglip.origin", value: JSON.stringify(origin) },
    { key: "ARROW:schema", value: arrowSchemaOf(dtype, width) },
  ];
  const parquet = new ParquetWriter({ writer, schema: schemaOf(dtype), kvMetadata, createdBy: "siglip" });
  /** What the writer holds; it goes on counting from where the file ends. */
  const taken = () => {
    const bytes = writer.getBytes().slice();
    writer.index = 0;
    return bytes;
  };
  const most = Math.max(1, Math.floor(GROUP / width));
  let group: StoredVector[] = [];
  const put = () => {
    const column = <T>(name: string, of: (row: StoredVector) => T, rest: object) => ({
      name,
      data: group.map(of),
      ...rest,
    });
    const plain = { codec: "UNCOMPRESSED", statistics: false, offsetIndex: false } as const;
    const valued = { ...plain, encoding: dtype === "i8" ? "RLE_DICTIONARY" : "PLAIN" } as const;
    const texts = (["kind", "name", "stamp"] as const).map((name) =>
      column(name, (row) => row[name], { statistics: false }),
    );
    const scales = dtype === "i8" ? [column("scale", ({ scale }) => scale, plain)] : [];
    const values = column("embedding", ({ bytes }) => Array.from(valuesOf(bytes, dtype)), valued);
    parquet.write({ columnData: [...texts, ...scales, values], rowGroupSize: group.length });
    group = [];
    return taken();
  };
  for await (const row of vectors.rows(signal)) {
    group.push({ ...row, bytes: row.bytes.slice() });
    if (group.length === most) yield put();
  }
  if (group.length > 0) yield put();
  parquet.finish();
  yield taken();
}

function valuesOf(bytes: Uint8Array, dtype: VectorDType): Float32Array | Int8Array {
  if (dtype === "i8") return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return decodeVector({ bytes, scale: 1 }, dtype);
}
