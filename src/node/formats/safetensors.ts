import type { Vectors } from "../../search/vectors.ts";
import { encodeVectors, readVectors } from "../../search/vectors-file.ts";
import { checkWritable, writeFileAtomic } from "../file.ts";
import type { OpenVectors } from "./formats.ts";
import { openFile } from "./open-file.ts";

export const check = checkWritable;

export async function write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  await writeFileAtomic(path, encodeVectors(vectors, signal), signal);
}

export function open(path: string, signal?: AbortSignal): Promise<OpenVectors> {
  return openFile(path, (source) => readVectors(source, signal));
}
