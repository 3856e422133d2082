// What runs in the page: the library, and what the tests do with it there.

import { browserPlatform } from "../../src/browser/platform.ts";
import { keptForms } from "../../src/browser/storage/chosen-forms.ts";
import { type BrowserImage, deleteCached, type LoadOptions, listCached, Siglip } from "../../src/index.ts";

/** Logits and probabilities of a picture against texts, and where the model ran. */
export async function score(
  model: string | File[],
  options: LoadOptions,
  image: BrowserImage,
  texts: string[],
): Promise<{ logits: number[]; backend: string }> {
  const loaded = await Siglip.load(model, options);
  try {
    const { logits } = loaded.similarity(await loaded.embedImages([image]), await loaded.embedTexts(texts));
    return { logits: [...logits], backend: loaded.device.backend };
  } finally {
    loaded.dispose();
  }
}

/** The message of what a promise rejects with, behind the error's class. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no error",
    (error) => `${error.name}: ${error.message}`,
  );
}

/** A decoded picture on its way out of the page. */
export interface Sent {
  readonly width: number;
  readonly height: number;
  readonly base64: string;
}

export async function decode(image: BrowserImage): Promise<Sent> {
  const { width, height, data } = await browserPlatform.decode(image);
  let text = "";
  for (let i = 0; i < data.length; i += 2 ** 15) text += String.fromCharCode(...data.subarray(i, i + 2 ** 15));
  return { width, height, base64: btoa(text) };
}

const inPage = { keptForms, Siglip, score, decode, failure, fetchBytes, listCached, deleteCached };
export type InPage = typeof inPage;
declare global {
  var siglip: InPage;
}
globalThis.siglip = inPage;

/** A file of the site. */
async function fetchBytes(url: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}
