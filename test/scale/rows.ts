import { formatOf } from "../../src/node/formats/formats.ts";

/** The rows of a file of embeddings by their names, as they are stored, and how many there are of all. */
export async function rowsOf(path: string): Promise<{ readonly rows: Map<string, string>; readonly count: number }> {
  const vectors = await formatOf(path)!.open(path);
  const rows = new Map<string, string>();
  let count = 0;
  try {
    for await (const { name, bytes } of vectors.rows()) {
      rows.set(name, Buffer.from(bytes).toString("base64"));
      count++;
    }
  } finally {
    await vectors.close();
  }
  return { rows, count };
}
