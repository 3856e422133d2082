// A module worker that scores a picture, with the demo model or another, and answers with what it found.
import { score } from "./page.ts";

self.onmessage = async ({ data: { model = "demo", options, image, texts } }) => {
  self.postMessage(await score(model, options, image, texts).catch((error) => ({ error: String(error) })));
};
