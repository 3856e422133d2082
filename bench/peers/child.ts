// One row of the comparison in a process of its own: prints its figures as lines of JSON.
import { goldenInputs, type Layer, layerInputs, layerReference } from "./inputs.ts";
import { jaxLayer } from "./jax.ts";
import { litertLayer } from "./litert.ts";
import { type Loaded, measure, type Task } from "./measure.ts";
import { type OrtEngine, ortTower } from "./ort.ts";
import { type Ours, ourAdapter, ourLayer, ourTower } from "./ours.ts";
import type { TfliteDType } from "./tflite.ts";
import { torchTower } from "./torch.ts";

const task: Task = JSON.parse(process.argv[2]);
const tell = (figures: object) => void process.stdout.write(`${JSON.stringify(figures)}\n`);
try {
  if (task.engine === "adapter") tell({ adapter: await ourAdapter() });
  else await run(task);
} catch (error) {
  tell({ error: sentence(error) });
}
// Dawn keeps a process alive.
process.stdout.write("", () => process.exit(0));

async function run(task: Task): Promise<void> {
  const { engine, dtype, threads } = task;
  const { config, pictures, embeddings } = await goldenInputs(task.case, task.batch);
  if (engine.startsWith("linear-")) {
    const layer = layerInputs(config);
    await measure(
      () => loadLayer(task, layer),
      async () => layerReference(layer),
      task,
      tell,
    );
  } else {
    const files = task.files!;
    const load = () => {
      if (engine === "torch") return torchTower(dtype, files, pictures);
      return engine.startsWith("ours-")
        ? ourTower(oursOf(task), config, files, pictures)
        : ortTower(engine as OrtEngine, files, pictures, threads);
    };
    await measure(load, async () => embeddings, task, tell);
  }
}

function loadLayer(task: Task, layer: Layer): Promise<Loaded> {
  const { engine, dtype, threads = 1 } = task;
  if (engine === "linear-litert") return litertLayer(dtype as TfliteDType, layer, threads);
  if (engine.startsWith("linear-ours-")) return ourLayer(oursOf(task), layer);
  return jaxLayer(engine === "linear-jax-wasm" ? "wasm" : "webgpu", dtype, layer, threads);
}

function oursOf({ engine, dtype, threads }: Task): Ours {
  const name = engine.split("-").at(-1) as Ours["name"];
  return { name, dtype: dtype as Ours["dtype"], threads };
}

/** An error's first line, short enough for a table. */
function sentence(error: unknown): string {
  const [line] = String((error as Error)?.message ?? error)
    .trim()
    .split("\n");
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
