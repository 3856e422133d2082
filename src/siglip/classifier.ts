import { type Embeddings, normalise, type Similarity } from "./embeddings.ts";
import { noLabels } from "./option-advice.ts";
import { checkOptions } from "./options.ts";
import { DEFAULT_TEMPLATE } from "./template.ts";

/** One label's standing for a picture. */
export interface Ranked {
  /** As it was given. */
  readonly label: string;
  /** sigmoid(logit), of this label alone; of a classifier's own labels that exclude each other, the softmax. */
  readonly probability: number;
  /** `exp(logit_scale) * cosine + logit_bias`, or what the classifier's linear map gives. */
  readonly logit: number;
}

/** Options of `classify` and `classifier`. */
export interface ClassifierOptions {
  /** Sentences with `{label}` in them; several are averaged on the sphere. Hugging Face's single template by default. */
  readonly templates?: readonly string[];
  /** Rejects the call with its reason. */
  readonly signal?: AbortSignal;
}

/** The names of those options. */
const OPTIONS = ["templates", "signal"] as const satisfies (keyof ClassifierOptions)[];

/** What a classifier asks of a model. */
export interface Embedder<Image> {
  embedImages(images: readonly Image[], options: { signal?: AbortSignal }): Promise<Embeddings>;
  embedTexts(texts: readonly string[], options: { signal?: AbortSignal }): Promise<Embeddings>;
  similarity(images: Embeddings, texts: Embeddings): Similarity;
}

/** Labels that have been embedded once. */
export class Classifier<Image> {
  /** As they were given, in their order. */
  readonly labels: readonly string[];
  private readonly model: Embedder<Image>;
  /** The labels' embeddings, in their order. */
  readonly texts: Embeddings;

  private constructor(model: Embedder<Image>, labels: readonly string[], texts: Embeddings) {
    this.model = model;
    this.labels = labels;
    this.texts = texts;
  }

  /** Embeds every label, or the only one, in every template; use `model.classifier`. */
  static async make<Image>(
    model: Embedder<Image>,
    wanted: string | readonly string[],
    options: ClassifierOptions,
  ): Promise<Classifier<Image>> {
    checkOptions("classify", options, OPTIONS);
    const { templates = [DEFAULT_TEMPLATE], signal } = options;
    const labels = typeof wanted === "string" ? [wanted] : wanted;
    if (!(areTexts(labels) && areTexts(templates) && templates.every((text) => text.includes("{label}")))) {
      throw noLabels(labels, templates, DEFAULT_TEMPLATE);
    }
    const sentences = labels.flatMap((label) =>
      templates.map((template) => template.replaceAll("{label}", () => label)),
    );
    const all = await model.embedTexts(sentences, { signal });
    return new Classifier(model, [...labels], average(all, templates.length));
  }

  /** The labels in order of their probability for one picture. */
  async classify(image: Image, { signal }: { signal?: AbortSignal } = {}): Promise<Ranked[]> {
    const { logits, probabilities } = this.model.similarity(
      await this.model.embedImages([image], { signal }),
      this.texts,
    );
    return this.labels
      .map((label, index) => ({ label, probability: probabilities[index], logit: logits[index] }))
      .sort((a, b) => b.logit - a.logit);
  }
}

function areTexts(list: readonly unknown[]): boolean {
  return Array.isArray(list) && list.length > 0 && list.every((item) => typeof item === "string");
}

/** The mean of every `group` consecutive rows, of length 1 again. */
function average({ data, shape }: Embeddings, group: number): Embeddings {
  if (group === 1) return { data, shape };
  const [rows, width] = shape;
  const out = new Float32Array((rows / group) * width);
  for (let i = 0; i < data.length; i++) out[Math.floor(i / (group * width)) * width + (i % width)] += data[i];
  normalise(out, width);
  return { data: out, shape: [rows / group, width] };
}
