// What the tests of interruptions start and kill: embeds one generation of a source by a fake model.
import { appendFileSync } from "node:fs";
import { embedInto } from "../../src/bulk/run.ts";
import { fakeEmbed, generation, job } from "./fake.ts";

const [path, number, log] = process.argv.slice(2);
let begun = false;
const embed = fakeEmbed(8, async (items) => {
  if (!begun) process.stdout.write("begun\n");
  begun = true;
  appendFileSync(log, `${items.length}\n`);
  await new Promise((resolve) => setTimeout(resolve, 1));
});
const { made, failures } = await embedInto(job(path, generation(Number(number)), { embed }));
process.exitCode = made === 0 && failures.count === 0 ? 3 : 0;
