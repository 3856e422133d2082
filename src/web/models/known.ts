/** One transformer: width, MLP width, layers. */
type Shape = readonly [hidden: number, mlp: number, layers: number];

const BASE: Shape = [768, 3072, 12];
const LARGE: Shape = [1024, 4096, 24];
const SO400M: Shape = [1152, 4304, 27];
const GIANT: Shape = [1536, 6144, 40];

/** A published checkpoint, float32 in one file or several. */
export interface Known {
  /** On the Hugging Face Hub. */
  readonly id: string;
  readonly vision: Shape;
  readonly text: Shape;
  readonly image: number;
  readonly patch: number;
  readonly vocabulary: number;
  readonly positions: number;
}

const one = { vocabulary: 32_000, positions: 64 };
const two = { vocabulary: 256_000, positions: 64 };
const checkpoint = (id: string, shape: Shape, patch: number, image: number, rest: typeof one, text = shape): Known => ({
  id: `google/${id}`,
  vision: shape,
  text,
  image,
  patch,
  ...rest,
});

/** The published checkpoints that load here, all but the NaFlex pair. */
export const KNOWN: readonly Known[] = [
  checkpoint("siglip-so400m-patch14-384", SO400M, 14, 384, one),
  checkpoint("siglip-so400m-patch14-224", SO400M, 14, 224, { ...one, positions: 16 }),
  checkpoint("siglip-large-patch16-384", LARGE, 16, 384, one),
  checkpoint("siglip-large-patch16-256", LARGE, 16, 256, one),
  checkpoint("siglip-base-patch16-512", BASE, 16, 512, one),
  checkpoint("siglip-base-patch16-384", BASE, 16, 384, one),
  checkpoint("siglip-base-patch16-256", BASE, 16, 256, one),
  checkpoint("siglip-base-patch16-224", BASE, 16, 224, one),
  checkpoint("siglip-base-patch16-256-multilingual", BASE, 16, 256, { ...one, vocabulary: 250_000 }),
  checkpoint("siglip2-giant-opt-patch16-384", GIANT, 16, 384, two, SO400M),
  checkpoint("siglip2-giant-opt-patch16-256", GIANT, 16, 256, two, SO400M),
  checkpoint("siglip2-so400m-patch16-512", SO400M, 16, 512, two),
  checkpoint("siglip2-so400m-patch16-384", SO400M, 16, 384, two),
  checkpoint("siglip2-so400m-patch16-256", SO400M, 16, 256, two),
  checkpoint("siglip2-so400m-patch14-384", SO400M, 14, 384, two),
  checkpoint("siglip2-so400m-patch14-224", SO400M, 14, 224, two),
  checkpoint("siglip2-large-patch16-512", LARGE, 16, 512, two),
  checkpoint("siglip2-large-patch16-384", LARGE, 16, 384, two),
  checkpoint("siglip2-large-patch16-256", LARGE, 16, 256, two),
  checkpoint("siglip2-base-patch16-512", BASE, 16, 512, two),
  checkpoint("siglip2-base-patch16-384", BASE, 16, 384, two),
  checkpoint("siglip2-base-patch16-256", BASE, 16, 256, two),
  checkpoint("siglip2-base-patch16-224", BASE, 16, 224, two),
  checkpoint("siglip2-base-patch32-256", BASE, 32, 256, two),
];

/** Parameters of both towers, the token table apart, which stays off the device. */
export function parameters({ vision, text, image, patch, vocabulary, positions }: Known): {
  image: number;
  text: number;
  table: number;
} {
  const [width] = vision;
  const [textWidth] = text;
  const mlp = ([hidden, inner]: Shape) => 2 * hidden * inner + hidden + inner;
  const attention = (hidden: number) => 4 * hidden ** 2 + 4 * hidden;
  const block = (shape: Shape) => attention(shape[0]) + mlp(shape) + 4 * shape[0];
  const patches = Math.floor(image / patch) ** 2 * width + 3 * patch ** 2 * width + width;
  const head = width + attention(width) + 2 * width + mlp(vision);
  return {
    image: patches + vision[2] * block(vision) + 2 * width + head,
    text: positions * textWidth + text[2] * block(text) + 2 * textWidth + textWidth * width + width,
    table: vocabulary * textWidth,
  };
}

/** What those should try first who do not know which: small, and good enough to see what SigLIP can do. */
export const RECOMMENDED = { id: "google/siglip-base-patch16-224", dtype: "q4" } as const;

/** The published checkpoints from the smallest to the largest, the recommended one before all. */
export function ordered(): Known[] {
  const size = (known: Known) => Object.values(parameters(known)).reduce((sum, count) => sum + count);
  const rank = (known: Known) => (known.id === RECOMMENDED.id ? 0 : size(known));
  return [...KNOWN].sort((a, b) => rank(a) - rank(b) || a.image - b.image);
}
