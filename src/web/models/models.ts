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
  showRunning([describeRunning(device), ...warnings].join(" "), warnings.length > 0 ? "warn" : "muted");
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

/** Where a model runs, and why not on the GPU where nobody asked for that. */
function describeRunning({ backend, adapter }: RemoteModel["device"]): string {
  if (backend === "webgpu") return `Runs on ${adapter}.`;
  const how = [adapter && `: ${adapter}`, backend === "wasm" && isSecureContext && describeCores()]
    .filter(Boolean)
    .join("");
  if (byId("backend", HTMLSelectElement).value !== "auto") return `Runs on the CPU${how}.`;
  if (!isSecureContext) return `WebGPU wants a page that comes by https. Models run on the CPU${how}.`;
  const why = navigator.gpu ? "WebGPU found no graphics hardware" : "This browser has no WebGPU";
  return `${why}. Models run on the CPU${how}.`;
}

/** What keeps a model on one core; what a browser shares can only be seen in a page that is isolated from other sites. */
function describeCores(): string {
  if (!crossOriginIsolated) return "; on every core after a reload, if this browser shares memory";
  return "SharedArrayBuffer" in globalThis ? "" : "; this browser shares no memory with threads";
}
