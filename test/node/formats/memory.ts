// Prints the megabytes that are resident at most while 25,000 embeddings are written and read, and while 100,000 are.
import { formatOf } from "../../../src/node/formats/formats.ts";
import { make } from "./vectors.ts";

const [path] = process.argv.slice(2);
const format = formatOf(path)!;
const width = 256;
const fixed = Float32Array.from({ length: width }, (_, i) => Math.sin(i));

async function most(count: number): Promise<number> {
  globalThis.gc!();
  let top = 0;
  const watch = setInterval(() => {
    globalThis.gc!();
    top = Math.max(top, process.memoryUsage().rss);
  }, 50);
  const name = (row: number) => `photos/2024/holidays/IMG_${row}.jpg`;
  await format.write(
    path,
    make({ image: count, text: 0 }, "f32", width, {}, name, () => fixed),
  );
  const vectors = await format.open(path);
  let rows = 0;
  for await (const _ of vectors.rows()) rows++;
  await vectors.close();
  clearInterval(watch);
  if (rows !== count) throw new Error(`${rows} rows`);
  return Math.round(top / 2 ** 20);
}

const few = await most(25_000);
const many = await most(100_000);
console.log(JSON.stringify({ few, many }));
