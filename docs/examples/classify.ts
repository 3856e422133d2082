// A program of one file, which runs wherever it is moved to, model included:
//   esbuild classify.ts --bundle --platform=node --format=esm --external:webgpu --outfile=classify.mjs
//   node classify.mjs cats.jpg "2 cats" "a plane"
// and a binary that needs no runtime either:
//   bun build --compile --external webgpu classify.ts && ./classify cats.jpg "2 cats" "a plane"
import { Siglip } from "siglip";

const [picture, ...labels] = process.argv.slice(2);
const model = await Siglip.load("demo");
for (const { label, probability } of await model.classify(picture, labels)) {
  console.log(`${(100 * probability).toFixed(1).padStart(5)} %  ${label}`);
}
model.dispose();
