// A module worker that scores a picture with the demo model and answers with what it found.
import { score } from "./page.ts";

self.onmessage = async ({ data: { options, image, texts } }) => {
  self.postMessage(await score("demo", options, image, texts).catch((error) => ({ error: String(error) })));
};
