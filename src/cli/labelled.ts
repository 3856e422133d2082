import type { Siglip } from "../node.ts";
import type { Classifier } from "../siglip/classifier.ts";

/** A picture's embedding by its name. */
export interface Named {
  readonly name: string;
  readonly embedding: Float32Array;
}

/** How probable each label is for a picture, in their order, and which is most. */
export interface Labelled {
  readonly name: string;
  readonly probabilities: readonly number[];
  /** The number of the most probable label; undefined where that is not probable enough. */
  readonly best: number | undefined;
}

/** Embeddings that are judged together. */
const AT_ONCE = 256;

/** Judges stored embeddings as `classify` judges pictures; holds few of them at a time. */
export async function* label(
  pictures: AsyncIterable<Named>,
  model: Siglip,
  classifier: Classifier<never>,
  above: number,
): AsyncGenerator<Labelled> {
  const count = classifier.labels.length;
  let some: Named[] = [];
  function* judged(): Generator<Labelled> {
    const data = new Float32Array(some.length * model.dim);
    for (const [row, { embedding }] of some.entries()) data.set(embedding, row * model.dim);
    const { probabilities } = model.similarity({ data, shape: [some.length, model.dim] }, classifier.texts);
    for (const [row, { name }] of some.entries()) {
      const own = [...probabilities.subarray(row * count, (row + 1) * count)];
      const best = own.reduce((most, one, index) => (one > own[most] ? index : most), 0);
      yield { name, probabilities: own, best: own[best] >= above ? best : undefined };
    }
    some = [];
  }
  for await (const one of pictures) {
    some.push(one);
    if (some.length === AT_ONCE) yield* judged();
  }
  yield* judged();
}
