import { make } from "../dom.ts";

/** Has the browser save a file among its downloads. */
export function saveAs(name: string, file: Blob): void {
  const url = URL.createObjectURL(file);
  make("a", { href: url, download: name }).click();
  // A download that the browser asks about first is still to come.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
