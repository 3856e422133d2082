import type { PictureOptions } from "../image/pixels.ts";
import type { SiglipConfig } from "../model/config.ts";
import type { Towers } from "../model/towers.ts";
import type { Backend } from "../tensor/backend.ts";
import type { WeightDType } from "../tensor/program.ts";
import type { SiglipTokenizer } from "../tokenizer/siglip.ts";
import type { OwnLabels } from "./own-labels.ts";
import type { Platform } from "./platform.ts";

/** A loaded model, from which a Siglip is made. */
export interface LoadedModel<Image> {
  readonly name: string;
  readonly config: SiglipConfig;
  readonly towers: Towers;
  readonly tokenizer: SiglipTokenizer | undefined;
  /** Of an image classifier. */
  readonly own: OwnLabels | undefined;
  readonly platform: Platform<Image>;
  readonly pictures: PictureOptions;
  readonly backend: Backend;
  readonly adapter: string | undefined;
  readonly dtype: WeightDType;
  readonly version: string | undefined;
  /** Loads the same model again, on a new device; for after the present one was lost. */
  reload(): Promise<LoadedModel<Image>>;
  free(): Promise<void>;
}
