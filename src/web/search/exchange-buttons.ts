import { byId, sentence } from "../dom.ts";
import type { RemoteModel } from "../models/remote.ts";
import { exportIndex, importIndex } from "./exchange.ts";
import type { Library } from "./library.ts";
import { saveAs } from "./save.ts";

/** What the buttons work on, and how they tell what became of it. */
export interface ExchangeOptions {
  readonly library: Library;
  /** The model in use, undefined while none is loaded. */
  model(): RemoteModel | undefined;
  tell(text: string, failed?: boolean): void;
}

/** The buttons that save the index as a file and open such files. Gives what opens one. */
export function startExchange({ library, model, tell }: ExchangeOptions): (file: File) => Promise<void> {
  const input = byId("index-file", HTMLInputElement);

  async function open(file: File): Promise<void> {
    const used = model();
    if (!used) return tell("An index is opened for a model; wait until one is loaded.", true);
    tell(`Reading ${file.name} …`);
    try {
      const { added, known } = await importIndex(file, library, used);
      const others = known > 0 ? ` ${known} ${known === 1 ? "was" : "were"} here already.` : "";
      tell(`${added} ${added === 1 ? "picture" : "pictures"} added from ${file.name}.${others}`);
    } catch (error) {
      tell(sentence(error), true);
    }
  }

  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    input.value = "";
    if (file) void open(file);
  });
  byId("save-index", HTMLButtonElement).addEventListener("click", async () => {
    try {
      saveAs("pictures.safetensors", await exportIndex(library, model()!));
    } catch (error) {
      tell(sentence(error), true);
    }
  });
  return open;
}
