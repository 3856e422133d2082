import { make } from "../dom.ts";

/** What a cell shows: a picture, the words under it, and what its button does in words. */
export interface Cell {
  readonly id: string;
  readonly name: string;
  /** What stands for the picture where there is none to show: its whole path. */
  readonly path: string;
  readonly note: string;
  readonly action: string;
}

/** Least width of a cell, the height of its caption, and how far beyond the window cells are drawn, in pixels. */
const CELL = 132;
const CAPTION = 24;
const MARGIN = 400;

/** A grid of any number of pictures, of which only those near the window are in the document. */
export class Grid {
  private readonly root: HTMLElement;
  private readonly pictureOf: (id: string) => Promise<string | undefined>;
  private count = 0;
  private cellAt: (index: number) => Cell = () => ({ id: "", name: "", path: "", note: "", action: "" });
  private readonly drawn = new Map<number, HTMLElement>();
  private asked = 0;

  /** `pictureOf` gives the address of a cell's picture, `choose` is called with the place of a cell that is clicked. */
  constructor(
    root: HTMLElement,
    pictureOf: (id: string) => Promise<string | undefined>,
    choose: (index: number) => void,
  ) {
    this.root = root;
    this.pictureOf = pictureOf;
    root.addEventListener("click", ({ target }) => {
      const cell = (target as Element).closest<HTMLElement>("li");
      if (cell) choose(Number(cell.getAttribute("aria-posinset")) - 1);
    });
    new ResizeObserver(() => this.draw()).observe(root);
    addEventListener("scroll", () => this.drawSoon(), { passive: true });
    addEventListener("resize", () => this.drawSoon());
  }

  /** Shows `count` cells, made one by one as they come into view. */
  show(count: number, cellAt: (index: number) => Cell): void {
    this.count = count;
    this.cellAt = cellAt;
    this.draw();
  }

  private drawSoon(): void {
    cancelAnimationFrame(this.asked);
    this.asked = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    const { width, top } = this.root.getBoundingClientRect();
    if (width === 0) return;
    const columns = Math.max(2, Math.floor(width / CELL));
    const side = width / columns;
    const height = side + CAPTION;
    this.root.style.height = `${Math.ceil(this.count / columns) * height}px`;
    const row = (y: number) => Math.floor((y - top) / height);
    const first = Math.max(0, row(-MARGIN) * columns);
    const last = Math.min(this.count, (row(innerHeight + MARGIN) + 1) * columns);
    for (const [index, cell] of this.drawn) {
      if (index >= first && index < last) continue;
      cell.remove();
      this.drawn.delete(index);
    }
    for (let index = first; index < last; index++) {
      let cell = this.drawn.get(index);
      if (!cell) {
        cell = emptyCell();
        this.drawn.set(index, cell);
      }
      // In the order of reading; cells that are there stay where they are, and so does the focus.
      const there = this.root.children[index - first] ?? null;
      if (there !== cell) this.root.insertBefore(cell, there);
      const [left, above] = [(index % columns) * side, Math.floor(index / columns) * height];
      cell.style.cssText = `left:${left}px;top:${above}px;width:${side}px;height:${height}px`;
      cell.setAttribute("aria-posinset", String(index + 1));
      cell.setAttribute("aria-setsize", String(this.count));
      this.fill(cell, this.cellAt(index));
    }
  }

  private fill(cell: HTMLElement, { id, name, path, note, action }: Cell): void {
    const [button, caption] = cell.children as unknown as HTMLElement[];
    caption.children[0].textContent = name;
    caption.children[1].textContent = note;
    const image = button.firstElementChild as HTMLImageElement;
    button.children[1].textContent = path;
    if (cell.dataset.id !== id) {
      cell.dataset.id = id;
      button.setAttribute("aria-label", action);
      image.removeAttribute("src");
    }
    if (image.src) return;
    this.pictureOf(id).then((url) => {
      if (url && cell.dataset.id === id) image.src = url;
    });
  }
}

function emptyCell(): HTMLElement {
  const button = make("button", { type: "button" }, make("img", { alt: "" }), make("span", { "aria-hidden": "true" }));
  return make("li", {}, button, make("div", { class: "caption" }, make("span"), make("span")));
}
