import type { Vectors } from "../../search/vectors.ts";
import { encodeVectors, readVectors } from "../../search/vectors-file.ts";
import { checkWritable, fileSource, writeFileAtomic } from "../file.ts";
import type { OpenVectors } from "./formats.ts";

export const check = checkWritable;

export async function write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  await writeFileAtomic(path, encodeVectors(vectors, signal), signal);
}

export async function open(path: string, signal?: AbortSignal): Promise<OpenVectors> {
  const source = await fileSource(path);
  try {
    return { ...(await readVectors(source, signal)), close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}
