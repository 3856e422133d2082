import { formatPercent } from "../classify/bars.ts";
import type { AppContext } from "../context.ts";
import { byId, sentence } from "../dom.ts";
import type { RemoteModel } from "../models/remote.ts";
import { TextCache } from "../models/texts.ts";
import { describe } from "./describe.ts";
import { startExchange } from "./exchange-buttons.ts";
import { type Folder, fromDrop, fromFiles, fromHandle, fromSamples } from "./files.ts";
import { type Cell, Grid } from "./grid.ts";
import { LargeView, type Shown } from "./large.ts";
import { Library, type Match } from "./library.ts";
import { type Cut, cutByPicture, cutByText } from "./relevant.ts";
import { nameOf } from "./store.ts";
import { countUnread, UnreadList } from "./unread.ts";

/** How long typing rests before the text is embedded, in milliseconds. */
const REST = 80;

/** What is searched by: a text, or a picture's embedding. */
type Query = { readonly text: string } | { readonly picture: Float32Array };

/** View 2: a folder of pictures, searched by text or by another picture. */
export async function mountSearch(root: HTMLElement, context: AppContext): Promise<undefined> {
  const input = byId("query", HTMLInputElement);
  const status = byId("search-status", HTMLElement);
  const progress = byId("index-progress", HTMLProgressElement);
  const pause = byId("pause", HTMLButtonElement);
  const forget = byId("forget", HTMLButtonElement);
  const saveIndex = byId("save-index", HTMLButtonElement);
  const folderInput = byId("folder-input", HTMLInputElement);
  const sought = byId("sought", HTMLElement);
  const showAll = byId("show-all", HTMLButtonElement);

  let model: RemoteModel | undefined;
  let texts: TextCache | undefined;
  let query: Query | undefined;
  let turn = 0;
  /** What was last done with a folder or a file, as long as it is to be read. */
  let note = { text: "", failed: false };
  /** What stands in the grid. */
  let shown: readonly (Pick<Match, "id"> & Partial<Match>)[] = [];
  /** Whether what does not fit the query is shown as well. */
  let all = false;
  let wasRunning = false;

  const library = await Library.open(() => refresh());
  const grid = new Grid(
    byId("grid", HTMLElement),
    (id) => library.thumbnail(id),
    (index) => large.open(index),
  );
  const large = new LargeView(largeAt);
  const unread = new UnreadList();
  const openIndex = startExchange({ library, model: () => model, tell });

  /** Shows how far things are, and what the query finds by now. */
  function refresh(): void {
    const { indexer } = library;
    const running = indexer?.running ?? false;
    progress.hidden = pause.hidden = !running;
    forget.hidden = library.pictures.size === 0;
    saveIndex.hidden = library.size === 0;
    if (indexer) {
      progress.max = indexer.total;
      progress.value = indexer.done;
      pause.textContent = indexer.paused ? "Go on" : "Pause";
    }
    unread.show([...library.unread.values()]);
    if (wasRunning && !running) context.announce(`${describe(library)} ${countUnread(library.unread.size)}`);
    wasRunning = running;
    void search();
  }

  function say(text: string, failed = false): void {
    status.textContent = text;
    status.classList.toggle("failed", failed);
  }

  function tell(text: string, failed = false): void {
    note = { text, failed };
    context.announce(text);
    refresh();
  }

  async function search(byUser = false): Promise<void> {
    const mine = ++turn;
    try {
      const embedding = query && texts && ("text" in query ? (await texts.embed([query.text])).data : query.picture);
      if (mine !== turn) return;
      const started = performance.now();
      const matches = embedding && (await library.search(embedding));
      if (mine !== turn) return;
      const took = performance.now() - started;
      const cut = matches?.length ? cutOf(matches) : undefined;
      show(matches, all ? undefined : cut);
      if (byUser && cut) context.announce(inWords(cut));
      const found = matches ? ` ${cut ? `${fitting(cut)} ` : ""}Searched in ${took.toFixed(1)} ms.` : "";
      say(note.text || describe(library) + found, note.text ? note.failed : Boolean(library.indexer?.problem));
    } catch (error) {
      if (mine === turn) say(sentence(error), true);
    }
  }

  function cutOf(matches: readonly Match[]): Cut {
    return query && "text" in query
      ? cutByText(matches, (cosine) => model!.probabilityOf(cosine))
      : cutByPicture(matches);
  }

  function show(matches: readonly Match[] | undefined, cut: Cut | undefined): void {
    shown = matches?.slice(0, cut?.count) ?? library.readable.map((id) => ({ id }));
    showAll.hidden = !matches || shown.length === matches.length;
    showAll.textContent = `Show all ${matches?.length ?? ""}`;
    grid.show(shown.length, (index): Cell => {
      const name = nameAt(index);
      const { id } = shown[index];
      const picture = library.pictures.get(id);
      const path = picture ? nameOf(picture) : "";
      return { id, name, path, note: noteAt(index), action: `${name}: open large` };
    });
  }

  function nameAt(index: number): string {
    const path = library.pictures.get(shown[index].id)?.path ?? "";
    return path.slice(path.lastIndexOf("/") + 1);
  }

  /** How well a hit fits: a text by its probability, a picture by its cosine. */
  function noteAt(index: number): string {
    const { score } = shown[index];
    if (score === undefined) return "";
    return query && "text" in query ? formatPercent(model!.probabilityOf(score)) : score.toFixed(3);
  }

  function largeAt(index: number): Shown | undefined {
    const id = shown[index]?.id;
    if (id === undefined) return undefined;
    return {
      name: library.pictures.get(id)?.path ?? "",
      note: noteAt(index),
      picture: async () => (await library.original(id)) ?? library.thumbnail(id),
      async findSimilar() {
        const embedding = await library.embeddingOf(id);
        if (embedding) void searchByPicture(embedding, library.pictures.get(id)!.path, library.thumbnail(id));
      },
    };
  }

  function fitting({ count, fit }: Cut): string {
    if (!fit) return `None fits; the nearest ${count} are shown.`;
    return `${count} ${count === 1 ? "fits" : "fit"} best.`;
  }

  function inWords(cut: Cut): string {
    const best = shown.slice(0, 3).map(({ id }) => library.pictures.get(id)!.path);
    return `${fitting(cut)} ${best.join(", ")}`;
  }

  async function take(folder: Promise<Folder>): Promise<void> {
    try {
      const found = await folder;
      const none = `No pictures were found in ${found.name}; choose another folder.`;
      note = found.pictures.length === 0 ? { text: none, failed: true } : { text: "", failed: false };
      await library.add(found);
    } catch (error) {
      // Whoever closes the browser's own dialog wants nothing.
      if ((error as Error).name === "AbortError") return;
      tell(sentence(error), true);
    }
  }

  async function searchByPicture(picture: Float32Array, name: string, url: Promise<string | undefined>): Promise<void> {
    query = { picture };
    all = false;
    input.value = "";
    sought.hidden = false;
    sought.querySelector("span")!.textContent = `Like ${name}`;
    const image = sought.querySelector("img")!;
    image.removeAttribute("src");
    scrollTo({ top: 0 });
    await search(true);
    const address = await url;
    if (address) image.src = address;
  }

  function clearPicture(): void {
    sought.hidden = true;
    query = undefined;
  }

  let typing = 0;
  input.addEventListener("input", () => {
    clearPicture();
    all = false;
    note = { text: "", failed: false };
    const text = input.value.trim();
    query = text === "" ? undefined : { text };
    clearTimeout(typing);
    typing = window.setTimeout(() => void search(true), REST);
  });
  sought.querySelector("button")!.addEventListener("click", () => {
    clearPicture();
    void search();
    input.focus();
  });
  showAll.addEventListener("click", () => {
    all = true;
    void search();
  });
  const queryFile = byId("query-file", HTMLInputElement);
  queryFile.addEventListener("change", async () => {
    const [file] = queryFile.files ?? [];
    queryFile.value = "";
    if (!file || !model) return;
    try {
      const { data } = await model.embedImages([file]);
      await searchByPicture(data, file.name, Promise.resolve(URL.createObjectURL(file)));
    } catch (error) {
      say(sentence(error), true);
    }
  });

  byId("choose-folder", HTMLButtonElement).addEventListener("click", () => {
    if ("showDirectoryPicker" in window) void take(showDirectoryPicker().then(fromHandle));
    else folderInput.click();
  });
  folderInput.addEventListener("change", () => {
    void take(Promise.resolve(fromFiles(folderInput.files ?? [])));
    folderInput.value = "";
  });
  byId("samples", HTMLButtonElement).addEventListener("click", () => void take(fromSamples()));
  pause.addEventListener("click", () => library.indexer?.pause(!library.indexer.paused));
  forget.addEventListener("click", async () => {
    if (!confirm("Forget all pictures, thumbnails and embeddings that this browser keeps?")) return;
    clearPicture();
    input.value = "";
    note = { text: "", failed: false };
    await library.forget();
  });
  addEventListener("dragover", (event) => root.hidden || event.preventDefault());
  addEventListener("drop", (event) => {
    if (root.hidden || !event.dataTransfer) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    void (file?.name.endsWith(".safetensors") ? openIndex(file) : take(fromDrop(event.dataTransfer)));
  });

  context.onModel(async (loaded) => {
    model = loaded;
    texts = new TextCache(loaded);
    // A picture's embedding means nothing to another model.
    if (query && "picture" in query) clearPicture();
    await library.use(loaded);
  });
  context.model().catch((error) => say(sentence(error), true));
  refresh();
  return undefined;
}

declare function showDirectoryPicker(): Promise<FileSystemDirectoryHandle>;
