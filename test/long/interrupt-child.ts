// What the tests of interruptions start and kill: loads some ranges of a model's files, then completes them all.
import { keptHubFiles } from "../../src/node/cache/hub-files.ts";

const [endpoint, id, ...names] = process.argv.slice(2);
const files = keptHubFiles(
  { id, revision: "main" },
  { endpoint, trusted: endpoint, pause: 1, onWarning: (message) => console.log(message) },
);
process.stdout.write("started\n");
for (const name of names) {
  const source = await files.open(name);
  if (source && source.size > 2 ** 20) await source.read(source.size >> 1, 2 ** 18);
}
await files.complete();
await files.close();
