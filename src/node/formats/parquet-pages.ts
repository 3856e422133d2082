import { parquetHeader } from "hyparquet/src/column.js";
import type { ParquetFail } from "./parquet-schema.ts";

/** Bytes of the largest page. */
const PAGE = 2 ** 30;

/**
 * Checks what the pages of a column say of themselves. The library takes their word for it: where a header lacks a length
 * it would read the same byte for ever.
 */
export function checkPages(bytes: Uint8Array, values: number, fail: ParquetFail): void {
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
    reader.offset += size;
  }
}
