// A module worker that scores a picture, with the demo model or another, and answers with what it found; or keeps choices.
import { keptForms } from "../../src/browser/storage/chosen-forms.ts";
import { score } from "./page.ts";

self.onmessage = async ({ data: { adapter, chosen, model = "demo", options, image, texts } }) => {
  if (chosen) return void (await keptForms(adapter)).set(...(chosen as [string, string]));
  self.postMessage(await score(model, options, image, texts).catch((error) => ({ error: String(error) })));
};
