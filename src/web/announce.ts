import { byId } from "./dom.ts";

/** Less than this apart, only the last of several texts is said, in milliseconds. */
const PAUSE = 700;

let timer = 0;

/** Has a screen reader say something, without moving the focus; what is still unsaid is replaced. */
export function announce(text: string): void {
  clearTimeout(timer);
  timer = window.setTimeout(() => {
    byId("announcer", HTMLElement).textContent = text;
  }, PAUSE);
}
