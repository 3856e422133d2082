// A picture's context menu asks what it shows; the answer stands on the extension's button. Files of a model
// (config.json, preprocessor_config.json, model.safetensors, spiece.model) lie in the folder model/.
import { Siglip } from "./static.js";

const labels = ["2 cats", "two dogs", "a plane", "a red car", "a house"];

/** Loaded when it is first wanted: a background is ended when it has nothing to do, and begins anew. */
let loading;

function load() {
  loading ??= Siglip.load("./model").catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

chrome.runtime.onInstalled.addListener(() => {
  chrome.contextMenus.create({ id: "classify", title: "What does this picture show?", contexts: ["image"] });
});

chrome.contextMenus.onClicked.addListener(async ({ srcUrl }) => {
  try {
    const [best] = await (await load()).classify(srcUrl, labels);
    await chrome.action.setTitle({ title: `${best.label}: ${(100 * best.probability).toFixed(1)} %` });
  } catch (error) {
    await chrome.action.setTitle({ title: String(error) });
  }
});
