import { mismatch } from "../support/error.ts";
import { Refusal } from "./refusal.ts";

/** Bytes of requests' bodies and pictures that are held at a time, in all. */
export class Room {
  private readonly most: number;
  private held = 0;

  constructor(most: number) {
    this.most = most;
  }

  /** What one request will hold: nothing as yet. */
  share(): Share {
    return new Share((bytes) => this.take(bytes));
  }

  private take(bytes: number): void {
    if (this.held + bytes > this.most) {
      const { message } = mismatch("bad-input", "service", `at most ${this.most} bytes at a time`, "more", "try again");
      throw new Refusal(429, message, { code: "rate_limit_exceeded", retryAfter: 1 });
    }
    this.held += bytes;
  }
}

/** What one request holds of the room. */
export class Share {
  private readonly room: (bytes: number) => void;
  private held = 0;

  constructor(room: (bytes: number) => void) {
    this.room = room;
  }

  /** Takes room for so many bytes more, or gives back where they are negative; throws a Refusal (429) where there is none. */
  take(bytes: number): void {
    this.room(bytes);
    this.held += bytes;
  }

  /** Gives everything back. */
  free(): void {
    this.take(-this.held);
  }
}
