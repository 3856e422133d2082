import { type BrowserImage, browserPlatform } from "../browser/platform.ts";
import type { Platform } from "../siglip/platform.ts";
import { decoder } from "./decode.ts";

/** Cloudflare Workers and what runs their like: one thread, no storage, and no time that a trial could measure. */
export const workerdPlatform: Platform<BrowserImage> = {
  ...browserPlatform,
  chosenForms: (engine) => new Map(Object.entries(engine.includes("dot8") ? WITH_VNNI : WITHOUT)),
  keep: undefined,
  decode: (image, options = {}) =>
    browserPlatform.decode(image, { ...options, decode: options.decode ?? decoder(options.maxPixels) }),
};

/** What trials choose on x64 elsewhere, by whether the dot is one instruction. */
const WITH_VNNI = { f16: "i14-i16", q8: "q8-i8x2", i8: "q8-i8", q4: "q4-i8" };
const WITHOUT = { f16: "i14-i16", q8: "q8-i16", i8: "q8-i16", q4: "q4-i16" };
