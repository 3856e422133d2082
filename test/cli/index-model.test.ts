import { describe, expect, it } from "vitest";
import { readProvenance } from "../../src/bulk/origin.ts";
import { openIndexModel } from "../../src/cli/index-model.ts";

describe("the model of an index", () => {
  const { signal } = new AbortController();
  const options = { backend: "wasm", threads: 1 } as const;
  const open = (origin: Record<string, string>, model?: string) =>
    openIndexModel({ path: "i.npy", width: 144, origin }, { ...options, model }, ["text"], signal);

  it("is the one that made it, in any precision", async () => {
    const { origin } = await readProvenance("demo", { dtype: "q8" });
    for (const model of [undefined, "demo", "weights/demo"]) {
      const opened = await open({ ...origin, image: origin.image.replace("}", ',"maxPatches":7}') }, model);
      expect(opened.dim).toBe(144);
      opened.dispose();
    }
  });

  it("is refused where it is another, gone, or at an address that an index chose", async () => {
    const { origin } = await readProvenance("demo", { dtype: "f16" });
    const oneSentence = (text: string) => new RegExp(`^i\\.npy: wanted [^;]*${text}[^;]*; [^;]*\\.$`);
    await expect(open({ ...origin, config: "0", model: "mine" }, "demo")).rejects.toThrow(
      oneSentence("embeddings as demo makes them, found those of mine, of another config"),
    );
    await expect(open({ ...origin, model: "./gone" })).rejects.toThrow(oneSentence("./gone, the model that made it"));
    await expect(open({ model: "https://example.org/model" })).rejects.toThrow(oneSentence("--model, for a model"));
    await expect(openIndexModel({ path: "i.npy", width: 7, origin: {} }, options, ["text"], signal)).rejects.toThrow(
      oneSentence("embeddings of 144 values, as demo makes them, found 7"),
    );
  });
});
