import { byId, make } from "../dom.ts";
import { saveAs } from "./save.ts";

/** Most that are listed in the page; a saved list has them all. */
const LISTED = 500;

/** The list of pictures that could not be read, each with the reason. */
export class UnreadList {
  private readonly details = byId("unread", HTMLDetailsElement);
  private readonly list = byId("unread-list", HTMLUListElement);
  private sentences: readonly string[] = [];

  constructor() {
    byId("save-unread", HTMLButtonElement).addEventListener("click", () => {
      saveAs("not-read.txt", new Blob([this.sentences.map((line) => `${line}\n`).join("")], { type: "text/plain" }));
    });
  }

  /** Shows sentences that name a picture each. */
  show(sentences: readonly string[]): void {
    const same = sentences.length === this.sentences.length && sentences.at(-1) === this.sentences.at(-1);
    this.sentences = sentences;
    // Called at every batch, and a list that is being read should not jump.
    if (same) return;
    this.details.hidden = sentences.length === 0;
    this.details.querySelector("summary")!.textContent = countUnread(sentences.length).slice(0, -1);
    const listed = sentences.slice(0, LISTED).map((line) => make("li", {}, line));
    const more = sentences.length - LISTED;
    if (more > 0) listed.push(make("li", {}, `… and ${more} more, which the saved list has.`));
    this.list.replaceChildren(...listed);
  }
}

/** In words how many could not be read; nothing where all could. */
export function countUnread(count: number): string {
  return count === 0 ? "" : `${count} ${count === 1 ? "picture" : "pictures"} could not be read.`;
}
