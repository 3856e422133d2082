// A process of its own that embeds one picture and one text with the demo model: milliseconds since its modules were loaded.
import { Siglip } from "../../src/node.ts";

const began = performance.now();
const since = () => performance.now() - began;
const [picture, dtype] = process.argv.slice(2);
const model = await Siglip.load("demo", { backend: "wasm", dtype: dtype as "f16" });
const load = since();
await model.embedImages([picture]);
const image = since();
await model.embedTexts(["2 cats"]);
const text = since();
console.log(JSON.stringify({ modules: began, load, image, text, on: model.device.adapter }));
