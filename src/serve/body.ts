import { mismatch } from "../support/error.ts";
import { concatenate } from "../support/numbers.ts";
import { bad, Refusal } from "./refusal.ts";

/** What a request's body may be. */
export interface BodyLimits {
  /** Most bytes of one. */
  readonly maxBody: number;
  /** Milliseconds in which it has to come. */
  readonly bodyTime: number;
}

/** Bytes of requests that are held at a time, in all. */
export class Room {
  private readonly most: number;
  private held = 0;

  constructor(most: number) {
    this.most = most;
  }

  /** Takes room for some bytes until `free` gives them back; throws a Refusal (429) where there is none. */
  take(bytes: number): void {
    if (this.held + bytes > this.most) {
      const { message } = mismatch("bad-input", "bodies", `at most ${this.most} bytes at a time`, "more", "try again");
      throw new Refusal(429, message, { code: "rate_limit_exceeded", retryAfter: 1 });
    }
    this.held += bytes;
  }

  /** Gives back what was taken. */
  free(bytes: number): void {
    this.held -= bytes;
  }
}

/** What was read, and the room that it takes until `free` is called. */
export interface Body {
  readonly bytes: Uint8Array;
  free(): void;
}

/** Bodies up to so many times the limit are read to their end before they are refused: who is cut off hears no answer. */
const HEARD = 4;

/**
 * A request's body, read piece by piece and kept no further than the limits. Throws a Refusal: 413 for too many bytes, 408 for
 * one that comes too slowly, 415 for a compressed one, 429 where others' bodies leave no room.
 */
export async function readBody(request: Request, { maxBody, bodyTime }: BodyLimits, room: Room): Promise<Body> {
  const coding = request.headers.get("Content-Encoding") ?? "identity";
  if (coding !== "identity") {
    throw bad("Content-Encoding", "a body as it is", JSON.stringify(coding), "send it uncompressed", 415);
  }
  const announced = Number(request.headers.get("Content-Length") ?? Number.NaN);
  let taken = 0;
  const take = (bytes: number) => {
    room.take(bytes);
    taken += bytes;
  };
  const free = () => room.free(taken);
  try {
    // The server holds a body to the length that was announced.
    if (announced <= maxBody) {
      take(announced);
      return { bytes: new Uint8Array(await within(request.arrayBuffer(), bodyTime)), free };
    }
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
      take(piece.value.length);
      pieces.push(piece.value);
    }
    if (!tooLong && length <= maxBody) return { bytes: concatenate(pieces), free };
    throw bad("body", `at most ${maxBody} bytes`, "more", "send fewer or smaller pictures at a time", 413);
  } catch (error) {
    free();
    throw error;
  }
}

/** Settles as the promise does, or rejects with a Refusal (408) after some milliseconds. */
async function within<R>(promise: Promise<R>, milliseconds: number): Promise<R> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const onLate = () => reject(bad("body", "all of it in time", "a slow one", "send it faster, or in parts", 408));
    timer = setTimeout(onLate, Math.max(0, milliseconds));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
