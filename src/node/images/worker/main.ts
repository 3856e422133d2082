// What a thread runs in which pictures are decoded; `generate.ts` makes a text of it.
import { parentPort } from "node:worker_threads";
import { toPatches } from "../../../image/patches.ts";
import { SiglipError } from "../../../support/error.ts";
import type { Answer, Made, Request } from "../thread.ts";
import { decode } from "./decode.ts";
import { resizeBySimd } from "./resize.ts";

async function answer({ id, picture, recipe }: Request): Promise<void> {
  let answered: Answer;
  const given: ArrayBuffer[] = [];
  try {
    const pixels = "bytes" in picture ? await decode(picture) : picture;
    const made: Made = recipe ? await toPatches(pixels, recipe, resizeBySimd) : pixels;
    given.push(("data" in made ? made.data : made.patches).buffer as ArrayBuffer);
    answered = { id, made };
  } catch (error) {
    const { message } = error as Error;
    answered = { id, error: { message, code: error instanceof SiglipError ? error.code : undefined } };
  }
  parentPort!.postMessage(answered, given);
}

// One after the other: a thread that dies has died of the first that it has not answered.
let last: Promise<void> = Promise.resolve();
parentPort!.on("message", (request: Request) => {
  last = last.then(() => answer(request));
});
