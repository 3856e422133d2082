import { type CachedModel, deleteCached, listCached } from "../../index.ts";
import { bytes } from "../../support/units.ts";
import { byId, make, sentence } from "../dom.ts";
import type { ModelOptions, ModelSource } from "./remote.ts";

/** Counts lists that are asked for: of several that overlap, the last is shown. */
let turn = 0;

/** Lists what this browser keeps of models, to be loaded or deleted. */
export async function showKept(load: (source: ModelSource, options: ModelOptions) => Promise<void>): Promise<void> {
  const mine = ++turn;
  const kept = await listCached().catch(() => []);
  if (mine !== turn) return;
  byId("kept", HTMLElement).hidden = kept.length === 0;
  byId("kept-list", HTMLElement).replaceChildren(...kept.map(row));

  function row(entry: CachedModel): HTMLElement {
    const { model, dtype, towers, complete } = entry;
    const use = make("button", { type: "button" }, complete ? "Load" : "Continue");
    use.addEventListener("click", () => void load(model, { dtype, towers }));
    const remove = make(
      "button",
      { type: "button", class: "quiet", "aria-label": `Delete ${model} ${dtype}` },
      "Delete",
    );
    remove.addEventListener("click", async () => {
      await deleteCached(entry).catch((error) => {
        byId("load-status", HTMLElement).textContent = sentence(error);
      });
      await showKept(load);
    });
    const size = bytes(entry.bytes) + (complete ? "" : ", not complete");
    const facts = [model, dtype, towers.join(" and "), size].join(" · ");
    return make("li", {}, make("span", {}, facts), use, remove);
  }
}
