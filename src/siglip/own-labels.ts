import type { SiglipConfig } from "../model/config.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Ranked } from "./classifier.ts";

/**
 * The labels that an image classifier was trained for: the mean of the image tower's tokens, one linear map, a softmax
 * or, where each label is judged by itself, sigmoids. [HF SiglipForImageClassification]
 */
export class OwnLabels {
  private readonly config: SiglipConfig;
  /** [labels, hidden]. */
  private readonly weight: Float32Array;
  private readonly bias: Float32Array;

  private constructor(config: SiglipConfig, weight: Float32Array, bias: Float32Array) {
    this.config = config;
    this.weight = weight;
    this.bias = bias;
  }

  /** Takes the linear map from where `read` finds it, which checks shapes. */
  static async load(
    config: SiglipConfig,
    read: (name: string, shape: Shape) => Promise<Float32Array>,
  ): Promise<OwnLabels> {
    const { length } = config.classes!.labels;
    const weight = await read("classifier.weight", [length, config.vision.hidden]);
    return new OwnLabels(config, weight, await read("classifier.bias", [length]));
  }

  /** Whether a tensor is the classifier's own, or one of the MAP head that it does without. */
  static knows(name: string): boolean {
    return /^(classifier|vision_model\.head)\./.test(name);
  }

  /** Of a picture's tokens [tokens, hidden], the last hidden state, one logit for each label. */
  logits(tokens: Float32Array): Float64Array {
    const { hidden } = this.config.vision;
    const mean = new Float64Array(hidden);
    for (let i = 0; i < tokens.length; i++) mean[i % hidden] += tokens[i] / (tokens.length / hidden);
    return Float64Array.from(this.bias, (bias, label) => {
      let sum = bias;
      for (let d = 0; d < hidden; d++) sum += this.weight[label * hidden + d] * mean[d];
      return sum;
    });
  }

  /** The labels by their probability for a picture's tokens. */
  rank(tokens: Float32Array): Ranked[] {
    const { labels, independent } = this.config.classes!;
    const logits = this.logits(tokens);
    const top = logits.reduce((a, b) => Math.max(a, b));
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
    return labels
      .map((label, index) => {
        const logit = logits[index];
        const probability = independent ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit - top) / total;
        return { label, probability, logit };
      })
      .sort((a, b) => b.logit - a.logit);
  }
}
