import { expect, it } from "vitest";
import type { RemoteModel } from "../../src/web/models/remote.ts";
import { Library } from "../../src/web/search/library.ts";

it("what is found while another model comes, or pictures go, are pictures that are there", async () => {
  const library = await Library.open(() => {});
  const model = { key: "a", dim: 2, towers: [] } as unknown as RemoteModel;
  await library.use(model);
  const internals = library as unknown as { put(id: string, embedding: Float32Array): void };
  for (const id of ["a", "b"]) {
    library.pictures.set(id, { id, folder: "f", path: id });
    internals.put(id, Float32Array.of(1, 0));
  }
  const found = library.search(Float32Array.of(1, 0));
  void library.use({ ...model, key: "b" } as RemoteModel);
  library.pictures.delete("b");
  expect(await found).toEqual([{ id: "a", score: 1 }]);
});
