// One row of the comparison in a process of its own: prints its figures as lines of JSON.
import { goldenInputs, type Layer, layerInputs, layerReference } from "./inputs.ts";
import { jaxLayer } from "./jax.ts";
import { type Loaded, measure, type Task } from "./measure.ts";
import type { DType } from "./onnx.ts";
import { type OrtEngine, ortTower } from "./ort.ts";
import { ourAdapter, ourLayer, ourTower } from "./ours.ts";
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
  const { engine, dtype } = task;
  const { config, pictures, embeddings } = await goldenInputs(task.case, task.batch);
  if (engine.startsWith("linear-")) {
    const layer = layerInputs(config);
    await measure(
      () => loadLayer(engine, dtype, layer),
      async () => layerReference(layer),
      task,
      tell,
    );
  } else {
    const files = task.files!;
    const load = () => {
      if (engine === "torch") return torchTower(dtype, files, pictures);
      return engine.startsWith("ours-")
        ? ourTower(engine === "ours-cpu" ? "cpu" : "webgpu", dtype, config, files, pictures)
        : ortTower(engine as OrtEngine, files, pictures);
    };
    await measure(load, async () => embeddings, task, tell);
  }
}

function loadLayer(engine: string, dtype: DType, layer: Layer): Promise<Loaded> {
  switch (engine) {
    case "linear-ours-cpu":
      return ourLayer("cpu", dtype, layer);
    case "linear-ours-webgpu":
      return ourLayer("webgpu", dtype, layer);
    case "linear-jax-wasm":
      return jaxLayer("wasm", dtype, layer);
    default:
      return jaxLayer("webgpu", dtype, layer);
  }
}

/** An error's first line, short enough for a table. */
function sentence(error: unknown): string {
  const [line] = String((error as Error)?.message ?? error)
    .trim()
    .split("\n");
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
