// What the thread runs in which JPEGs are decoded; `generate.ts` makes a text of it.
import { parentPort } from "node:worker_threads";
import { SiglipError } from "../../../support/error.ts";
import type { Answer, Request } from "../jpeg.ts";
import { decodeJpeg } from "./jpeg.ts";

parentPort!.on("message", async ({ id, bytes, name, maxPixels }: Request) => {
  try {
    const pixels = await decodeJpeg(bytes, name, maxPixels);
    const answer: Answer = { id, pixels };
    parentPort!.postMessage(answer, [pixels.data.buffer as ArrayBuffer]);
  } catch (error) {
    const { message } = error as Error;
    const answer: Answer = { id, error: { message, code: error instanceof SiglipError ? error.code : undefined } };
    parentPort!.postMessage(answer);
  }
});
