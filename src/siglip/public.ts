// What both entry points export beside their own Siglip class.

export type { FlexiblePictures, Grid } from "../image/naflex.ts";
export type { Decoder, PictureOptions, Pixels } from "../image/pixels.ts";
export type { ImageProcessing } from "../image/preprocess.ts";
export type { Filter } from "../image/resize.ts";
export type { ClassesConfig, SiglipConfig, TextConfig, VisionConfig } from "../model/config.ts";
export type { ForwardOptions, Tower, Values } from "../model/towers.ts";
export type { NetworkOptions } from "../network/network-files.ts";
export { type ErrorCode, SiglipError } from "../support/error.ts";
export type {} from "../support/platform-types.ts";
export type { LoadProgress } from "../support/progress.ts";
export type { StoredDType, WeightDType } from "../tensor/program.ts";
export type { Shape } from "../tensor/shape.ts";
export type { Pinned } from "../tensor/webgpu/options.ts";
export type { AttentionName, LinearName } from "../tensor/webgpu/tiles.ts";
export type { Dialect } from "../tokenizer/siglip.ts";
export type { BackendName } from "./backends.ts";
export type { Calibration } from "./calibration.ts";
export type { Classifier, ClassifierOptions, Ranked } from "./classifier.ts";
export type { EmbedImagesOptions, EmbedOptions, StreamOptions } from "./embed.ts";
export type { Embeddings, Similarity, Skipped } from "./embeddings.ts";
export type { Features, FeaturesOptions } from "./features.ts";
export type { LoadOptions } from "./load.ts";
export type { HeatMap, LocateOptions } from "./locate.ts";
export type { EmbeddedBatch } from "./stream.ts";
export { DEFAULT_TEMPLATE } from "./template.ts";
