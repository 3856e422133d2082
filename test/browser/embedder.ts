// What an application imports that embeds images and texts, and nothing else.
export { Siglip } from "../../src/index.ts";
