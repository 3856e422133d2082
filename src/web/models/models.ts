import type { AppContext } from "../context.ts";
import { byId, sentence } from "../dom.ts";
import { startDialog } from "./dialog.ts";
import { type LoadModel, RemoteModel } from "./remote.ts";

/** Loads the demo model at once, shows the model in use at the top of the page and lets its user choose another. */
export function startModels(): Pick<AppContext, "model" | "onModel"> {
  const listeners: ((model: RemoteModel) => void)[] = [];
  let used: RemoteModel | undefined;
  let asked = 0;

  const load: LoadModel = async (source, options, told) => {
    const turn = ++asked;
    const model = await RemoteModel.load(source, options, told);
    if (turn < asked && used) {
      model.dispose();
      return used;
    }
    used?.dispose();
    used = model;
    current = Promise.resolve(model);
    showModel(model);
    for (const listener of listeners) listener(model);
    return model;
  };

  let current = load("demo", {});
  current.catch((error) => {
    if (!used) showFailure(sentence(error));
  });
  startDialog(load);
  return {
    model: () => current,
    onModel(listener) {
      listeners.push(listener);
      if (used) listener(used);
    },
  };
}

function showModel({ name, device, warnings }: RemoteModel): void {
  const where = device.backend === "webgpu" ? "GPU" : "CPU";
  byId("model-dot", HTMLElement).className = "dot";
  byId("model-name", HTMLElement).textContent = name.replace(/^google\//, "");
  byId("model-device", HTMLElement).textContent = `${device.dtype} · ${where}`;
  const lacking = device.backend === "webgpu" ? undefined : withoutGpu(device.adapter);
  const place = device.backend === "webgpu" ? device.adapter : ["the CPU", device.adapter].filter(Boolean).join(", ");
  const runs = lacking ?? `Runs on ${place}.`;
  showRunning([runs, ...warnings].join(" "), lacking || warnings.length > 0 ? "warn" : "muted");
}

function showFailure(message: string): void {
  byId("model-dot", HTMLElement).className = "dot failed";
  byId("model-device", HTMLElement).textContent = "failed";
  showRunning(message, "failed");
}

function showRunning(text: string, how: "muted" | "warn" | "failed"): void {
  const running = byId("running", HTMLElement);
  running.textContent = text;
  running.className = `running ${how}`;
}

/** Why a model runs on the CPU, where nobody asked for that. */
function withoutGpu(engine = "one thread"): string | undefined {
  const slow = `models run on the CPU (${engine}).`;
  if (byId("backend", HTMLSelectElement).value !== "auto") return undefined;
  if (!isSecureContext) return `WebGPU wants a page that comes by https: ${slow}`;
  return navigator.gpu ? `WebGPU found no graphics hardware: ${slow}` : `This browser has no WebGPU: ${slow}`;
}
