// The real size in a process of its own, so that its peak memory is its own: prints one line of JSON.
// usage: full-run.ts cpu|wasm|webgpu FOLDER f32|f16|q8|i8|q4|baseline
import { parseArgs } from "node:util";
import { openCheckpoint } from "../../src/files/read-model.ts";
import { loadTowers } from "../../src/model/towers.ts";
import { folderFiles } from "../../src/node/folder.ts";
import { findGpu } from "../../src/node/gpu.ts";
import { nodeThreads } from "../../src/node/threads.ts";
import { type BackendName, openBackend } from "../../src/siglip/backends.ts";
import { Recorder, type WeightDType } from "../../src/tensor/program.ts";
import { checkGolden, cosineLoss, openGolden } from "../harness/golden.ts";
import { BOUND } from "../judge/bounds.ts";

/** What one run found; bytes and seconds. */
export interface FullRun {
  adapter?: string;
  loadSeconds: number;
  imageSeconds: number;
  textSeconds: number;
  peakAfterLoad: number;
  peak: number;
  backendBytes: number;
  /** Of the image tower's weights alone. */
  imageBytes: number;
  /** 1 - cosine of the pooled outputs. */
  loss: { image: number; text: number };
  errors: Record<string, number>;
}

const { positionals } = parseArgs({ allowPositionals: true });
const [name, folder, only] = positionals;
const dtype = (only === "baseline" ? "f32" : only) as WeightDType;
const gpu = () => findGpu();
const { backend, adapter } = await openBackend(name as BackendName, {
  ...{ dtype, gpu, withoutGpu: () => "install a driver" },
  chosenForms: () => new Map(),
  threading: nodeThreads,
});
const peak = () => process.resourceUsage().maxRSS * 1024;

if (only === "baseline") {
  print({ peak: peak() });
} else {
  const golden = await openGolden("so400m-384");
  const checkpoint = await openCheckpoint(await folderFiles(folder));
  const started = performance.now();
  const image = await loadTowers(backend, checkpoint, golden.config, { dtype, towers: ["image"] });
  const imageBytes = backend.bytes;
  const text = await loadTowers(backend, checkpoint, golden.config, { dtype, towers: ["text"] });
  const towers = { ...image, text: text.text };
  // A first small read, so that everything uploaded has arrived.
  const p = new Recorder();
  p.output("x", p.input("x", [1]));
  await backend.run(p.finish(), { x: new Float32Array(1) });
  const loadSeconds = (performance.now() - started) / 1000;
  const peakAfterLoad = peak();
  const backendBytes = backend.bytes;
  const seconds = { image: 0, text: 0 };
  const timed = {
    ...towers,
    async image(...args: Parameters<typeof towers.image>) {
      const from = performance.now();
      const out = await towers.image(...args);
      seconds.image = (performance.now() - from) / 1000;
      return out;
    },
    async text(...args: Parameters<typeof towers.text>) {
      const from = performance.now();
      const out = await towers.text(...args);
      seconds.text = (performance.now() - from) / 1000;
      return out;
    },
  };
  const bound = name === "cpu" ? BOUND.cpu : BOUND.f32;
  const errors = dtype === "f32" ? await checkGolden(golden, timed, { bound, label: `${name} so400m-384` }) : {};
  // Of two vectors of length 1, 1 - cosine is half the square of their difference.
  const loss =
    dtype === "f32"
      ? { image: errors["image embeds"] ** 2 / 2, text: errors["text embeds"] ** 2 / 2 }
      : await cosineLoss(golden, timed);
  print({
    adapter,
    loadSeconds,
    imageSeconds: seconds.image,
    textSeconds: seconds.text,
    peakAfterLoad,
    peak: peak(),
    backendBytes,
    imageBytes,
    loss,
    errors,
  } satisfies FullRun);
}

/** Dawn keeps the process alive, so it is ended once the line is out. */
function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}
