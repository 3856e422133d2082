import type { Kind, VectorKey } from "../../search/vectors.ts";

/** Pictures first, then texts, of a file that may have them otherwise: it is gone through once for each then. */
export async function* inOrder<T extends VectorKey>(sorted: boolean, items: () => AsyncIterable<T>): AsyncGenerator<T> {
  if (sorted) return yield* items();
  for (const kind of ["image", "text"] satisfies Kind[]) {
    for await (const item of items()) if (item.kind === kind) yield item;
  }
}
