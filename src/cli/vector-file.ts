import { InvalidArgumentError } from "commander";
import { ENDINGS, type Format, formatOf } from "../node/formats/formats.ts";
import { isRemote } from "../node/formats/lance-table.ts";
import type { VectorDType } from "../search/vectors.ts";

/** A file of embeddings. */
export interface VectorFile {
  readonly path: string;
  readonly format: Format;
}

/** One that is named by its path. */
export function parseVectorFile(path: string): VectorFile {
  if (isRemote(path))
    throw new InvalidArgumentError("Wanted a path; siglip merge copies a file to a LanceDB table at a URL.");
  return parseFileOrTable(path);
}

/** One that is named by its path, or a LanceDB table by a URL such as s3://bucket/photos.lance. */
export function parseFileOrTable(path: string): VectorFile {
  const format = formatOf(path);
  if (!format) throw new InvalidArgumentError(`Wanted a name that ends in ${ENDINGS.join(", ")}.`);
  if (format.ending === ".lance" || !isRemote(path)) return { path, format };
  throw new InvalidArgumentError("Wanted a path, or a URL that ends in .lance.");
}

/** The dtype of embeddings in a file. */
export function parseVectors(text: string): VectorDType {
  if (text === "int8") return "i8";
  if (text === "f32" || text === "f16") return text;
  throw new InvalidArgumentError("Wanted f32, f16 or int8.");
}
