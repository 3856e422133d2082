import { byId } from "../dom.ts";

/** A picture as the dialog shows it. */
export interface Shown {
  readonly name: string;
  readonly note: string;
  /** The picture itself, or its thumbnail where the folder is not at hand; undefined where neither is there. */
  picture(): Promise<Blob | string | undefined>;
  /** Searches by it. */
  findSimilar(): void;
}

/** The dialog that shows one picture of the grid large, and from there its neighbours. */
export class LargeView {
  private readonly dialog = byId("large", HTMLDialogElement);
  private readonly image = byId("large-picture", HTMLImageElement);
  private readonly missing = byId("large-missing", HTMLElement);
  private readonly before = byId("large-before", HTMLButtonElement);
  private readonly after = byId("large-after", HTMLButtonElement);
  private readonly at: (index: number) => Shown | undefined;
  private index = 0;
  private shown: Shown | undefined;

  /** `at` gives the pictures of the grid as they stand there now, undefined beyond its ends. */
  constructor(at: (index: number) => Shown | undefined) {
    this.at = at;
    this.before.addEventListener("click", () => this.open(this.index - 1));
    this.after.addEventListener("click", () => this.open(this.index + 1));
    byId("large-close", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
    byId("large-similar", HTMLButtonElement).addEventListener("click", () => {
      this.dialog.close();
      this.shown?.findSimilar();
    });
    this.dialog.addEventListener("keydown", ({ key }) => {
      if (key === "ArrowLeft") this.open(this.index - 1);
      if (key === "ArrowRight") this.open(this.index + 1);
    });
    this.dialog.addEventListener("close", () => this.take(undefined));
  }

  /** Shows the picture at a place of the grid; does nothing beyond its ends. */
  open(index: number): void {
    const shown = this.at(index);
    if (!shown) return;
    this.index = index;
    this.shown = shown;
    byId("large-name", HTMLElement).textContent = shown.name;
    byId("large-note", HTMLElement).textContent = shown.note;
    this.before.disabled = !this.at(index - 1);
    this.after.disabled = !this.at(index + 1);
    this.take(undefined);
    this.missing.hidden = true;
    this.image.alt = shown.name;
    if (!this.dialog.open) this.dialog.showModal();
    void shown.picture().then((picture) => {
      if (this.shown !== shown || !this.dialog.open) return;
      this.take(picture);
      this.missing.hidden = picture !== undefined;
    });
  }

  private take(picture: Blob | string | undefined): void {
    if (this.image.dataset.own) URL.revokeObjectURL(this.image.src);
    delete this.image.dataset.own;
    if (picture instanceof Blob) {
      this.image.dataset.own = "yes";
      this.image.src = URL.createObjectURL(picture);
    } else if (picture) this.image.src = picture;
    else this.image.removeAttribute("src");
  }
}
