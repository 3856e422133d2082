// Runs `siglip/workerd` and its example in Node as Workers do: `forbidden.js FOLDER EXAMPLE`, and a call as JSON on stdin.
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, example] = process.argv.slice(2);
const script = pathToFileURL(`${folder}/workerd.js`).href;
registerHooks({
  resolve: (name, context, next) => (name === "siglip" ? { url: script, shortCircuit: true } : next(name, context)),
  load(url, context, next) {
    if (!url.endsWith(".wasm")) return next(url, context);
    const read = `process.getBuiltinModule("node:fs").readFileSync(new URL(${JSON.stringify(url)}))`;
    return { format: "module", shortCircuit: true, source: `export default new WebAssembly.Module(${read});` };
  },
});
const { Siglip } = await import(script);
const { default: worker } = await import(pathToFileURL(example).href);

const { model: url, examples, others } = JSON.parse(readFileSync(0, "utf8"));
// Node's own fetch compiles something at its first use.
await (await fetch(`${url}config.json`)).text();
const forbid = () => {
  throw new WebAssembly.CompileError("Wasm code generation disallowed by embedder");
};
Object.assign(WebAssembly, { Module: forbid, compile: async () => forbid(), instantiate: async () => forbid() });

const model = await Siglip.load(url, { dtype: "f32" });
const logits = [];
for (const { picture, labels } of examples) {
  logits.push([...model.similarity(await model.embedImages([picture]), await model.embedTexts(labels)).logits]);
}
const other = await model.embedImages(others.map((path) => new Uint8Array(readFileSync(path))));
const tiff = await model.embedImages([new TextEncoder().encode("II*\0")]).catch(String);
const device = model.device;

// The clock stands still while a Worker computes: others have turns all the same.
const clock = performance.now;
performance.now = () => 0;
let turns = 0;
let counting = true;
const count = () => {
  turns++;
  if (counting) setImmediate(count);
};
setImmediate(count);
const grey = { width: 16, height: 16, data: new Uint8Array(768) };
await model.embedImages(new Array(16).fill(grey), { batch: 16 });
counting = false;
performance.now = clock;
model.dispose();

const waited = [];
const context = { waitUntil: (promise) => waited.push(promise) };
const post = async (body) =>
  (await worker.fetch(new Request("http://worker/", { method: "POST", body }), { MODEL: url }, context)).json();
const found = await post(await (await fetch(examples[0].picture)).arrayBuffer());
const bad = await post("no picture");
console.log(
  JSON.stringify({ logits, others: [...other.data], tiff, device, found, bad, waited: waited.length, turns }),
);
