import { type FileSource, fileSource } from "../file.ts";
import type { OpenVectors } from "./formats.ts";

/** Opens a file for as long as what was made of it is open; where making that rejects, it is closed again. */
export async function openFile(
  path: string,
  make: (source: FileSource) => Promise<Omit<OpenVectors, "close">>,
): Promise<OpenVectors> {
  const source = await fileSource(path);
  try {
    return { ...(await make(source)), close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}
