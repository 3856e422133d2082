/** Writes a checkpoint of synthetic weights: `npx tsx test/judge/write-synthetic.ts [--config DIR] --out DIR`. */
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { parseConfig, parseJson } from "../../src/model/config.ts";
import { writeFileAtomic } from "../../src/node/file.ts";
import { syntheticData, syntheticShapes, syntheticSource } from "./synthetic.ts";

async function main(from: string, out: string): Promise<void> {
  const config = parseConfig(parseJson(await readFile(join(from, "config.json")), "config.json"));
  const { size: total } = syntheticSource(config);
  const progress = async function* (chunks: AsyncIterable<Uint8Array>) {
    let written = 0;
    let told = -1;
    for await (const chunk of chunks) {
      yield chunk;
      written += chunk.length;
      const percent = Math.floor((100 * written) / total);
      if (percent > told && process.stderr.isTTY) process.stderr.write(`\r${percent} % of ${total} bytes`);
      told = percent;
    }
    if (process.stderr.isTTY) process.stderr.write("\n");
  };
  const abort = new AbortController();
  process.once("SIGINT", () => abort.abort());
  const started = performance.now();
  await mkdir(out, { recursive: true });
  const weights = writeSafetensors(syntheticData(syntheticShapes(config)), [["format", "pt"]]);
  await writeFileAtomic(join(out, "model.safetensors"), progress(weights), abort.signal);
  await copyFile(join(from, "config.json"), join(out, "config.json"));
  await writeFileAtomic(join(out, "preprocessor_config.json"), [new TextEncoder().encode(preprocessor(config.vision))]);
  const seconds = (performance.now() - started) / 1000;
  const peak = process.resourceUsage().maxRSS / 1024;
  console.log(
    `${join(out, "model.safetensors")}: ${total} bytes in ${seconds.toFixed(1)} s, peak memory ${peak.toFixed(0)} MiB`,
  );
}

/** SigLIP 1's own preprocessing at the model's size. */
function preprocessor({ imageSize }: { imageSize: number }): string {
  const size = { height: imageSize, width: imageSize };
  const half = [0.5, 0.5, 0.5];
  const settings = {
    do_normalize: true,
    do_rescale: true,
    do_resize: true,
    image_mean: half,
    image_processor_type: "SiglipImageProcessor",
    image_std: half,
    resample: 3,
    rescale_factor: 1 / 255,
    size,
  };
  return `${JSON.stringify(settings, undefined, 2)}\n`;
}

const { values } = parseArgs({ options: { config: { type: "string" }, out: { type: "string" } } });
if (values.out === undefined) {
  console.error("usage: npx tsx test/judge/write-synthetic.ts [--config DIR] --out DIR");
  process.exit(2);
}
await main(values.config ?? fileURLToPath(new URL("../golden/so400m-384", import.meta.url)), values.out);
