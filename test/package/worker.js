import { score } from "./score.js";

self.onmessage = async ({ data }) => {
  self.postMessage(await score(...data).catch((error) => ({ error: String(error) })));
};
