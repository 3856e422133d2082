// What the test of memory starts: embeds a folder by the demo model and tells how much memory it holds at the end.
import { embedInto } from "../../src/bulk/run.ts";
import { openSources } from "../../src/bulk/sources/open.ts";
import { formatOf } from "../../src/node/formats/formats.ts";
import { Siglip } from "../../src/node.ts";

const [folder, path] = process.argv.slice(2);
const model = await Siglip.load("demo", { backend: "wasm", threads: 2, towers: ["image"] });
const { made } = await embedInto({
  source: await openSources([folder]),
  path,
  format: formatOf(path)!,
  header: { width: model.dim, dtype: "f32", origin: { model: "demo" } },
  embed: (_, items) => model.embedStream(items),
});
const resident = process.memoryUsage.rss();
model.dispose();
console.log(JSON.stringify({ resident, made }));
process.exit(0);
