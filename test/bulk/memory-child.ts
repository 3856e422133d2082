// What the test of memory starts: embeds a folder by the demo model and tells how much memory it held on the way.
import { embedInto } from "../../src/bulk/run.ts";
import { openSources } from "../../src/bulk/sources/open.ts";
import { formatOf } from "../../src/node/formats/formats.ts";
import { Siglip } from "../../src/node.ts";

const [folder, path, early] = process.argv.slice(2);
const model = await Siglip.load("demo", { backend: "wasm", threads: 2, towers: ["image"] });
const [first, whole] = [
  { rss: 0, done: Number(early) },
  { rss: 0, done: 0 },
];
const { counts, made } = await embedInto({
  source: await openSources([folder]),
  path,
  format: formatOf(path)!,
  header: { width: model.dim, dtype: "f32", origin: { model: "demo" } },
  embed: (_, items) => model.embedStream(items),
  onProgress(done) {
    whole.done = done;
    if (done <= first.done) first.rss = process.memoryUsage.rss();
  },
});
whole.rss = process.memoryUsage.rss();
model.dispose();
console.log(JSON.stringify({ first, whole, images: counts.image, made }));
process.exit(0);
