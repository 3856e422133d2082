import { type FileMetaData, parquetSchema, type SchemaElement, type SchemaTree } from "hyparquet";
import type { VectorDType } from "../../search/vectors.ts";
import type { PageColumn } from "./parquet-pages.ts";

/** Tells what a file should have and what it has. */
export type ParquetFail = (wanted: string, found: string, cause?: unknown) => never;

/** Rows from `start` to before `end` that lie together. */
export interface Group {
  readonly start: number;
  readonly end: number;
  /** Values of their embeddings. */
  readonly values: number;
  /** Where each of its columns lies, and how many values that has. */
  readonly columns: readonly Column[];
}

/** A part of a column in the file, from `begin` to before `end`. */
export interface Column extends PageColumn {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

/** The names of a file's columns, and the dtype of its embeddings. */
export function columnsOf(metadata: FileMetaData, fail: ParquetFail): { columns: Set<string>; dtype: VectorDType } {
  const { children } = parquetSchema(metadata);
  const columns = new Set(children.map(({ element }) => element.name));
  let leaf: SchemaTree | undefined = children.find(({ element }) => element.name === "embedding");
  let lists = 0;
  for (; leaf && leaf.children.length === 1; leaf = leaf.children[0]) lists += repeated(leaf.element);
  lists += repeated(leaf?.element);
  const dtype = leaf && lists === 1 && leaf.children.length === 0 ? dtypeOf(leaf.element) : undefined;
  const wanted = "a column embedding, a list of FLOAT, DOUBLE, FLOAT16 or INT_8,";
  if (!dtype) return fail(wanted, leaf ? "another" : `only ${[...columns].slice(0, 9).join(", ")}`);
  if (dtype === "i8" && !columns.has("scale")) return fail("a column scale beside integers", "none");
  return { columns, dtype };
}

const repeated = (element?: SchemaElement) => Number(element?.repetition_type === "REPEATED");

function dtypeOf({ type, logical_type, converted_type }: SchemaElement): VectorDType | undefined {
  if (type === "FLOAT" || type === "DOUBLE") return "f32";
  if (logical_type?.type === "FLOAT16") return "f16";
  const integer = logical_type?.type === "INTEGER" && logical_type.bitWidth === 8 && logical_type.isSigned;
  return type === "INT32" && (integer || converted_type === "INT_8") ? "i8" : undefined;
}

/** Bits of the levels of a column's values: as many levels as elements of its path are optional, or repeated. */
function bitsOf(tree: SchemaTree, path: readonly string[]): PageColumn["bits"] {
  let [definition, repetition] = [0, 0];
  let node: SchemaTree | undefined = tree;
  for (const name of path) {
    node = node?.children.find(({ element }) => element.name === name);
    definition += Number(node?.element.repetition_type !== "REQUIRED");
    repetition += repeated(node?.element);
  }
  return { definition: Math.ceil(Math.log2(definition + 1)), repetition: Math.ceil(Math.log2(repetition + 1)) };
}

/** A file's row groups, each claim checked against the others and the file's size. */
export function groupsOf(metadata: FileMetaData, size: number, fail: ParquetFail): Group[] {
  const { row_groups, num_rows } = metadata;
  const tree = parquetSchema(metadata);
  let end = 0;
  const groups = row_groups.map(({ num_rows, columns }): Group => {
    const start = end;
    end += Number(num_rows);
    const parts: Column[] = [];
    for (const { meta_data } of columns) {
      const bytes = Number(meta_data?.total_compressed_size ?? -1);
      const begin = Number(meta_data?.dictionary_page_offset ?? meta_data?.data_page_offset ?? -1);
      if (!(begin >= 4 && bytes >= 0 && begin + bytes <= size)) fail("columns within the file", "one beyond its end");
      const path = meta_data?.path_in_schema ?? [];
      const plain = meta_data?.codec === "UNCOMPRESSED";
      const values = Number(meta_data?.num_values);
      parts.push({ name: path[0] ?? "", begin, end: begin + bytes, values, bits: bitsOf(tree, path), plain });
    }
    const embedding = columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === "embedding")?.meta_data;
    const values = Number(embedding?.num_values ?? -1);
    if (!(end > start && values >= end - start)) fail("row groups with rows and embeddings", "one without");
    return { start, end, values, columns: parts };
  });
  if (end !== Number(num_rows) || end > 2 ** 40) fail(`${num_rows} rows`, `${end}`);
  return groups;
}
