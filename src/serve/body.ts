import { concatenate } from "../support/numbers.ts";
import { bad, Refusal } from "./refusal.ts";
import type { Share } from "./room.ts";

/** What a request's body may be. */
export interface BodyLimits {
  /** Most bytes of one. */
  readonly maxBody: number;
  /** Milliseconds in which it has to come. */
  readonly bodyTime: number;
}

/** Bodies up to so many times the limit are read to their end before they are refused: who is cut off hears no answer. */
const HEARD = 4;

/**
 * A request's body, read piece by piece and kept no further than the limits. Throws a Refusal: 413 for too many bytes, 408 for
 * one that comes too slowly, 400 for one that breaks off, 415 for a compressed one, 429 where others' leave no room.
 */
export async function readBody(request: Request, limits: BodyLimits, share: Share): Promise<Uint8Array> {
  const coding = request.headers.get("Content-Encoding") ?? "identity";
  if (coding !== "identity") {
    throw bad("Content-Encoding", "a body as it is", JSON.stringify(coding), "send it uncompressed", 415);
  }
  const announced = Number(request.headers.get("Content-Length") ?? Number.NaN);
  try {
    if (!(announced <= limits.maxBody)) return await readPieces(request, announced, limits, share);
    // The server holds a body to the length that was announced.
    share.take(announced);
    return new Uint8Array(await within(request.arrayBuffer(), limits.bodyTime));
  } catch (error) {
    throw error instanceof Refusal ? error : bad("body", "all of it", "its end too early", "send it again");
  }
}

/** A body of unknown length, or of one that is too long. */
async function readPieces(
  request: Request,
  announced: number,
  { maxBody, bodyTime }: BodyLimits,
  share: Share,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const until = performance.now() + bodyTime;
  const reader = request.body?.getReader();
  const tooLong = announced > maxBody;
  let length = announced > HEARD * maxBody ? announced : 0;
  while (length <= HEARD * maxBody) {
    const piece = await within(Promise.resolve(reader?.read()), until - performance.now());
    if (!piece?.value) break;
    length += piece.value.length;
    if (tooLong || length > maxBody) continue;
    share.take(piece.value.length);
    pieces.push(piece.value);
  }
  if (!tooLong && length <= maxBody) return concatenate(pieces);
  throw bad("body", `at most ${maxBody} bytes`, "more", "send fewer or smaller pictures at a time", 413);
}

/** Settles as the promise does, or rejects with a Refusal (408) after some milliseconds. */
function within<R>(promise: Promise<R>, milliseconds: number): Promise<R> {
  return new Promise((resolve, reject) => {
    const onLate = () => reject(bad("body", "all of it in time", "a slow one", "send it faster, or in parts", 408));
    const timer = setTimeout(onLate, Math.max(0, milliseconds));
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
