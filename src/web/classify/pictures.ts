import { mismatch } from "../../support/error.ts";

/** Hands over the pictures that are dropped on the page while `active`, or pasted into it. */
export function takePictures(stage: HTMLElement, active: () => boolean, use: (picture: File) => void): void {
  const take = (data: DataTransfer | null) => {
    const picture = [...(data?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (picture) use(picture);
    return picture !== undefined;
  };
  const withFiles = (event: DragEvent) => active() && (event.dataTransfer?.types.includes("Files") ?? false);
  addEventListener("dragover", (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    stage.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) stage.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    stage.classList.remove("dropping");
    if (!withFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer);
  });
  addEventListener("paste", (event) => {
    if (active() && take(event.clipboardData)) event.preventDefault();
  });
}

/** The picture that the clipboard holds; rejects with an Error in one sentence where it holds none. */
export async function readClipboard(): Promise<Blob> {
  let found = "text or nothing";
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((name) => name.startsWith("image/"));
      if (type) return await item.getType(type);
    }
  } catch (error) {
    found = (error as Error).message;
  }
  throw mismatch("bad-input", "clipboard", "a picture", found, "copy one first, or press Ctrl+V here");
}
