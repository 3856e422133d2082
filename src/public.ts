// What both entry points export beside their own Siglip class.
export { type Classifier, type ClassifierOptions, DEFAULT_TEMPLATE, type Ranked } from "./classifier.ts";
export type { SiglipConfig, TextConfig, VisionConfig } from "./config.ts";
export type { Embeddings, Similarity } from "./embeddings.ts";
export { SiglipError } from "./error.ts";
export type { Pixels } from "./image/pixels.ts";
export type { ImageProcessing } from "./image/preprocess.ts";
export type { Filter } from "./image/resize.ts";
export type { LoadOptions } from "./load.ts";
export type { LoadProgress } from "./progress.ts";
export { type Hit, SearchIndex } from "./search.ts";
export type { EmbedOptions } from "./siglip.ts";
export type { Shape, WeightDType } from "./tensor/backend.ts";
export type { Pinned } from "./tensor/webgpu/backend.ts";
export type { AttentionName, LinearName } from "./tensor/webgpu/tiles.ts";
export type { Dialect } from "./tokenizer/siglip.ts";
export type { ForwardOptions, Tower, Values } from "./towers.ts";
