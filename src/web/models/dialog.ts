import { byId, make, sentence } from "../dom.ts";
import { describeProgress, describeSize, nameWithSize } from "./describe.ts";
import { ordered, RECOMMENDED } from "./known.ts";
import type { LoadModel, ModelOptions, ModelSource } from "./remote.ts";

/** The dialog in which another model is chosen and loaded. */
export function startDialog(load: LoadModel): void {
  const dialog = byId("model-dialog", HTMLDialogElement);
  const form = byId("model-form", HTMLFormElement);
  const known = byId("known", HTMLSelectElement);
  const other = byId("other", HTMLInputElement);
  const cancel = byId("cancel-load", HTMLButtonElement);
  const bar = byId("load-progress", HTMLProgressElement);
  const status = byId("load-status", HTMLElement);
  let chosen: File[] = [];
  let loading: AbortController | undefined;

  known.append(
    make("option", { value: "demo" }, "demo, a part of this page"),
    ...ordered().map((model) => make("option", { value: model.id }, nameWithSize(model))),
    make("option", { value: "other" }, "another, by Hub id or URL …"),
    make("option", { value: "disk" }, "from files on disk …"),
  );

  const options = (): ModelOptions => ({
    dtype: (byId("dtype", HTMLSelectElement).value || undefined) as ModelOptions["dtype"],
    towers: byId("towers", HTMLSelectElement).value.split(" ") as ModelOptions["towers"],
    backend: byId("backend", HTMLSelectElement).value as ModelOptions["backend"],
  });

  function source(): ModelSource {
    if (known.value === "disk") return chosen;
    if (known.value !== "other") return known.value;
    const name = other.value.trim();
    // The worker has another address than the page, to which what is typed here is relative.
    return /^[./]/.test(name) ? new URL(name, document.baseURI).href : name;
  }

  function refresh(): void {
    byId("other-field", HTMLElement).hidden = known.value !== "other";
    byId("disk-field", HTMLElement).hidden = known.value !== "disk";
    byId("model-size", HTMLElement).textContent = describeSize(known.value, options());
  }

  async function start(from: ModelSource, how: ModelOptions): Promise<void> {
    loading?.abort();
    const mine = new AbortController();
    loading = mine;
    const tell = (text: string, failed = false) => {
      if (loading !== mine) return;
      status.textContent = text;
      status.classList.toggle("failed", failed);
    };
    cancel.hidden = bar.hidden = false;
    bar.removeAttribute("value");
    tell("Loading …");
    try {
      const model = await load(from, how, {
        signal: mine.signal,
        onProgress(progress) {
          if (loading !== mine) return;
          bar.max = progress.total;
          bar.value = progress.loaded;
          tell(describeProgress(progress));
        },
      });
      tell(`${model.name} is in use.`);
      if (loading === mine) dialog.close();
    } catch (error) {
      tell(
        mine.signal.aborted ? "Cancelled; the model before it is still in use." : sentence(error),
        !mine.signal.aborted,
      );
    }
    if (loading !== mine) return;
    cancel.hidden = bar.hidden = true;
    loading = undefined;
    await showKept();
  }

  /** The list takes the library, which the page itself does not need. */
  async function showKept(): Promise<void> {
    await (await import("./kept.ts")).showKept(start);
  }

  for (const id of ["disk-folder", "disk-files"]) {
    const input = byId(id, HTMLInputElement);
    input.addEventListener("change", () => {
      chosen = besideConfig([...(input.files ?? [])]);
      byId("disk-chosen", HTMLElement).textContent = chosen.map(({ name }) => name).join(", ");
    });
  }
  known.addEventListener("change", () => {
    if (known.value === RECOMMENDED.id) byId("dtype", HTMLSelectElement).value = RECOMMENDED.dtype;
  });
  form.addEventListener("change", refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void start(source(), options());
  });
  cancel.addEventListener("click", () => loading?.abort(new DOMException("Cancelled.", "AbortError")));
  byId("close-models", HTMLButtonElement).addEventListener("click", () => dialog.close());
  byId("model-button", HTMLButtonElement).addEventListener("click", () => {
    if (!loading) status.textContent = "";
    refresh();
    dialog.showModal();
    void showKept();
  });
}

/** The files in the folder of the config.json that lies least deep: a model's folder may hold others. */
function besideConfig(files: readonly File[]): File[] {
  const folder = ({ webkitRelativePath: path }: File) => path.slice(0, path.lastIndexOf("/") + 1);
  const configs = files.filter(({ name }) => name === "config.json").map(folder);
  const [own] = configs.sort((a, b) => a.split("/").length - b.split("/").length);
  return own === undefined ? [...files] : files.filter((file) => folder(file) === own);
}
