import { parquetHeader } from "hyparquet/src/column.js";
import type { ParquetFail } from "./parquet-schema.ts";

/** Bytes of the largest page. */
const PAGE = 2 ** 30;

/** What is known of a column before its pages are read. */
export interface PageColumn {
  /** How many values it has. */
  readonly values: number;
  /** Of a number that says how deep a value lies in lists. */
  readonly bits: { readonly definition: number; readonly repetition: number };
  /** Whether pages are not compressed. */
  readonly plain: boolean;
}

/**
 * Checks what the pages of a column say of themselves. The library takes their word for it: where a header lacks a length
 * it would read the same byte for ever.
 */
export function checkPages(bytes: Uint8Array, { values, bits, plain }: PageColumn, fail: ParquetFail): void {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), offset: 0 };
  while (reader.offset < bytes.length - 1) {
    const page = parquetHeader(reader);
    const { compressed_page_size: size, uncompressed_page_size: whole } = page;
    const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = page;
    const said = { DATA_PAGE: v1, DATA_PAGE_V2: v2, DICTIONARY_PAGE: dictionary, INDEX_PAGE: undefined }[page.type];
    const within = (value: unknown, most: number) =>
      Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most;
    const levels = v2 ? [v2.definition_levels_byte_length, v2.repetition_levels_byte_length] : [];
    const good =
      said?.encoding !== undefined &&
      within(said.num_values, values) &&
      within(size, bytes.length - reader.offset) &&
      within(whole, PAGE) &&
      levels.every((length) => within(length, size)) &&
      (!v2 || within(v2.num_nulls, v2.num_values)) &&
      (!v1 || (v1.definition_level_encoding !== undefined && v1.repetition_level_encoding !== undefined));
    if (!good) fail("pages that agree with their column", "others");
    const body = bytes.subarray(reader.offset, reader.offset + size);
    if (v2) {
      const [definition, repetition] = levels;
      if (bits.repetition > 0) checkRuns(body.subarray(0, repetition), bits.repetition, v2.num_values, fail);
      const rest = body.subarray(repetition, repetition + definition);
      if (bits.definition > 0) checkRuns(rest, bits.definition, v2.num_values, fail);
      const indices = body.subarray(repetition + definition);
      if (v2.encoding === "RLE_DICTIONARY" && (plain || v2.is_compressed === false)) {
        checkRuns(indices.subarray(1), indices[0], v2.num_values - v2.num_nulls, fail);
      }
    }
    reader.offset += size;
  }
}

/**
 * Checks that runs of numbers (levels, or indices of a dictionary) come to no more than there are values: the library
 * writes a run of as many as its header says. https://parquet.apache.org/docs/file-format/data-pages/encodings/
 */
export function checkRuns(bytes: Uint8Array, bits: number, values: number, fail: ParquetFail): void {
  let total = 0;
  for (let at = 0; at < bytes.length && total < values; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 28 || at >= bytes.length) fail("runs of numbers", "ones cut short");
      const byte = bytes[at++];
      header += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    const count = Math.floor(header / 2);
    const packed = header % 2 === 1;
    total += packed ? 8 * count : count;
    at += packed ? count * bits : Math.ceil(bits / 8);
    // The last eight that are packed together may be more than there are.
    if (total >= values + 8) fail(`runs of ${values} numbers`, `${total}`);
  }
}
